"""Tables and formulas are recovered from labels that follow the pairwise rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates.encoded import Encoded
from defects.surrogates.expressions import Expression
from defects.surrogates.pairwise_model import VARIABLES, FormulaModel
from training.surrogate_metrics import grouped_folds
from training.surrogate_shells import ShellSettings, descend, fit_shells
from training.surrogate_task import FitOptions, FitTask

HOST = get_host("MoS2", (4, 4, 1))
ENCODER = SparseEncoder(HOST, ("V_Mo", "V_S"))
OPTIONS = FitOptions(n_folds=3, iterations=1, seed=0, threads=1)


def sample(n: int, seed: int) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    rules = Rules(defects=ENCODER.defects, min_defects=1, max_defects=3)
    return [random_configuration(HOST, rules, rng) for _ in range(n)]


def distances(configuration: Configuration) -> np.ndarray:
    sites = [d.site for d in configuration.defects]
    return HOST.distances[np.ix_(sites, sites)][np.triu_indices(len(sites), 1)]


def energy(configuration: Configuration) -> float:
    counts = configuration.counts()
    singles = 3.0 * counts["V_Mo"] + 1.5 * counts["V_S"]
    return float(singles - np.exp(-distances(configuration) / 2.0).sum())


def gap(configuration: Configuration) -> float:
    """The narrowest pair decides; a defect alone has 1.2 eV."""
    return float(min((1.2 - np.exp(-distances(configuration) / 3.0)).tolist(), default=1.2))


def task(name: str, truth, n: int = 150) -> FitTask:
    known = sample(n, 0)
    batch = Encoded(known, ENCODER)
    values = np.array([truth(c) for c in known]) / batch.divisor(name)
    return FitTask(name, batch, values, grouped_folds([c.key for c in known], 3, 0))


def test_a_sum_of_pairs_is_found() -> None:
    problem = task("formation_energy_per_site", energy)
    fit = fit_shells(problem, OPTIONS)
    assert fit.report["rule"] == "sum"
    assert np.abs(problem.held_out_mean(fit) - problem.values).mean() < 0.01
    new = sample(50, 1)
    found = fit.model.predict(Encoded(new, ENCODER))
    assert np.abs(found - [energy(c) for c in new]).mean() < 0.01
    assert fit.model.terms.singles == pytest.approx([3.0, 1.5], abs=0.05)


def test_a_minimum_over_pairs_is_found_and_named() -> None:
    problem = task("homo_lumo_gap", gap)
    fit = fit_shells(problem, OPTIONS)
    errors = fit.report["mae_by_rule"]
    assert fit.report["rule"] == "min"
    assert errors["min"] < 0.5 * min(errors["sum"], errors["max"])
    new = sample(50, 1)
    found = fit.model.predict(Encoded(new, ENCODER))
    assert np.abs(found - [gap(c) for c in new]).mean() < 0.02


def test_a_maximum_mirrors_a_minimum() -> None:
    low = fit_shells(task("homo_lumo_gap", gap), OPTIONS)
    high = fit_shells(task("homo", lambda c: -gap(c)), OPTIONS)
    assert high.report["rule"] == "max"
    assert high.model.terms.pairs == pytest.approx(-low.model.terms.pairs)


def test_descent_gives_each_row_its_lowest_term() -> None:
    """Three terms, of which the middle one is never seen alone."""
    present = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 1]], dtype=bool)
    truth = np.array([0.3, 0.5, 0.9])
    value = np.array([truth[row].min() for row in present])
    none = (np.empty(0, dtype=int), np.empty(0))
    found = descend(present, value, {0: none, 1: none, 2: none}, 1.0, ShellSettings(prior=0.0))
    assert np.array([found[row].min() for row in present]) == pytest.approx(value)
    assert found == pytest.approx(truth)


def test_an_unknown_rule_is_refused() -> None:
    options = FitOptions(3, 1, 0, 1, params={"rule": "median"})
    with pytest.raises(ModelError, match="median"):
        fit_shells(task("homo_lumo_gap", gap, 30), options)


class TestFormulas:
    """Symbolic regression, small."""

    SMALL = FitOptions(3, 1, 0, 1, params={"population": 40, "generations": 4})

    @pytest.fixture(autouse=True)
    def _needs_operon(self) -> None:
        pytest.importorskip("pyoperon")

    def test_the_interaction_is_found_and_fades(self, tmp_path: Path) -> None:
        from training.surrogate_formula import fit_formula

        problem = task("formation_energy_per_site", energy)
        fit = fit_formula(problem, self.SMALL)
        assert np.abs(problem.held_out_mean(fit) - problem.values).mean() < 0.02
        formula = next(f for f in fit.model.formulas if f.kinds == ("V_S", "V_S"))
        r = np.array([3.2, 5.5, 100.0])
        found = formula.expression({"r": r, "h": np.zeros(3)})
        assert found == pytest.approx(-np.exp(-r / 2.0), abs=0.03)
        assert fit.report["formulas"]["V_S, V_S"] == formula.expression.text
        fit.model.save(tmp_path)
        again = FormulaModel.load(tmp_path, ENCODER)
        assert again.predict(problem.batch) == pytest.approx(fit.model.predict(problem.batch))

    def test_an_evolved_expression_beats_a_bare_exponential(self) -> None:
        from training.surrogate_formula import FormulaSettings, seek_formula

        r = np.linspace(2.5, 12, 40)
        value = 0.4 * np.cos(2 * r) * np.exp(-r / 4)
        points = np.column_stack([r, np.zeros(40), value, np.ones(40)])
        text = seek_formula(points, True, FormulaSettings(generations=20), 1)
        found = Expression.parse(text, VARIABLES)({"r": r, "h": np.zeros(40)})
        assert np.abs(found - value).mean() < 0.2 * np.abs(value).mean()

    def test_equal_labels_and_seed_give_equal_formulas(self) -> None:
        from training.surrogate_formula import FormulaSettings, seek_formula

        rng = np.random.default_rng(0)
        r = np.linspace(2.5, 12, 20)
        points = np.column_stack([r, np.zeros(20), np.sin(r) * np.exp(-r / 3), rng.random(20) + 1])
        settings = FormulaSettings(population=50, generations=5)
        assert seek_formula(points, True, settings, 3) == seek_formula(points, True, settings, 3)
