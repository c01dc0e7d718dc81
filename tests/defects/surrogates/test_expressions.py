"""Formulas from files: arithmetic and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from defects.errors import ModelError
from defects.surrogates.expressions import Expression

R = np.array([1.0, 2.0, 4.0])


def test_evaluates_on_arrays() -> None:
    formula = Expression.parse("-0.5*exp(-r/2) + (r - h)**2/sqrt(1 + h)", ("r", "h"))
    h = np.array([0.0, 3.0, 0.0])
    expected = -0.5 * np.exp(-R / 2) + (R - h) ** 2 / np.sqrt(1 + h)
    assert formula({"r": R, "h": h}) == pytest.approx(expected)


def test_a_constant_has_the_shape_of_the_variables() -> None:
    assert Expression.parse("2", ("r",))({"r": R}).tolist() == [2.0, 2.0, 2.0]


def test_what_is_undefined_is_nan_and_does_not_warn() -> None:
    found = Expression.parse("1/(r - 2) + log(r - 1)", ("r",))({"r": R})
    assert np.isnan(found).tolist() == [True, True, False]


def test_a_tower_of_powers_ends_at_once() -> None:
    assert np.isnan(Expression.parse("9**9**9**9*r", ("r",))({"r": R})).all()


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "r.real",
        "(lambda: r)()",
        "exp(r, r)",
        "exp(x=r)",
        "open(r)",
        "x + 1",
        "[r][0]",
        "r if r else 1",
        "r < 1",
        "'a'",
        "True + r",
        "1j*r",
        "r +",
        "",
        "r // 2",
        "-" * 100 + "r",
        "+".join("r" * 3000),
    ],
)
def test_all_else_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Expression.parse(text, ("r", "h"))
