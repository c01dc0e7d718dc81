"""Pareto fronts: against the definition, and round by round against the labels."""

from __future__ import annotations

import numpy as np
import pytest
from fake_campaign import FakeCampaign
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.targets import Target
from design_loop.ledger import Ledger
from design_loop.pareto import (
    errors_of,
    hypervolume,
    non_dominated,
    pareto_front,
    reference_point,
)

ROWS = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=12)
)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_the_front_is_what_nothing_beats(rows):
    errors = np.array(rows, dtype=float)
    beaten = [
        any((b <= a).all() and (b < a).any() for b in errors)
        for a in errors
    ]  # fmt: skip
    assert non_dominated(errors).tolist() == [not b for b in beaten]


def test_what_has_no_label_is_on_no_front():
    targets = [Target(property="a", goal="minimize"), Target(property="b", value=1.0)]
    errors = errors_of(targets, [{"a": 0.0, "b": 1.0}, {"a": -9.0}])
    assert np.isinf(errors[1, 1])
    assert non_dominated(errors).tolist() == [True, False]


def test_errors_count_in_units_of_their_targets():
    targets = [
        Target(property="a", value=1.0, tolerance=0.1),
        Target(property="b", min=0.0, max=4.0),
        Target(property="c", goal="maximize", scale=10.0, reference=50.0),
    ]
    [row] = errors_of(targets, [{"a": 1.3, "b": 5.0, "c": 70.0}])
    assert row == pytest.approx([3.0, 0.5, -2.0])


def test_hypervolume_of_rectangles():
    errors = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0], [2.0, 2.0]])
    reference = reference_point(errors)
    assert reference == pytest.approx([2.2, 2.2])
    assert hypervolume(errors, reference) == pytest.approx(2.2 * 0.2 + 1.2 * 1.0 + 0.2 * 1.0)
    assert hypervolume(np.array([[3.0, 3.0]]), reference) == 0.0


def test_a_campaigns_front_grows_round_by_round(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        name = FakeCampaign(ledger, tmp_path).run()
        found = pareto_front(ledger, name)
    points = {p["key"]: p for p in found["points"]}
    assert len(points) == 15
    names = [o["property"] for o in found["objectives"]]

    def beats(a, b):
        pairs = [(a["errors"][n], b["errors"][n]) for n in names]
        return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    for r in found["rounds"]:
        known = [p for p in points.values() if p["labelled_in"] <= r["number"]]
        wanted = {p["key"] for p in known if not any(beats(q, p) for q in known)}
        assert set(r["front"]) == wanted
    volumes = [r["hypervolume"] for r in found["rounds"]]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 0
    assert {k for k, p in points.items() if p["front"]} == set(found["rounds"][-1]["front"])
    assert all(p["joined"] >= p["labelled_in"] for p in points.values() if p["front"])


def test_a_campaign_without_labels_has_an_empty_front(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        name = FakeCampaign(ledger, tmp_path).run(rounds=0)
        found = pareto_front(ledger, name)
    assert (found["points"], found["rounds"]) == ([], [])
