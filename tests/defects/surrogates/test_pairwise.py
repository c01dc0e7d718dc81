"""Pairwise decompositions: how terms make a property, and formulas on file."""

from __future__ import annotations

import json
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
from defects.surrogates.formula_plot import formulas_svg, formulas_text
from defects.surrogates.pair_kernel import pair_columns
from defects.surrogates.pairwise import PairwiseTerms
from defects.surrogates.pairwise_model import VARIABLES, Formula, FormulaModel, ShellsModel

HOST = get_host("MoS2", (3, 3, 1))
ENCODER = SparseEncoder(HOST, ("V_Mo", "V_S"))
COLUMNS = pair_columns(HOST, ENCODER.defects)
SINGLES = np.array([2.0, 1.0])


def some(n: int = 30) -> list[Configuration]:
    rng = np.random.default_rng(0)
    rules = Rules(defects=ENCODER.defects, max_defects=4)
    return [random_configuration(HOST, rules, rng) for _ in range(n)]


def terms(rule: str) -> PairwiseTerms:
    return PairwiseTerms(rule, 5.0, SINGLES, np.random.default_rng(1).random(len(COLUMNS)))


def by_hand(configuration: Configuration, found: PairwiseTerms) -> float:
    """The definition, pair by pair."""
    kinds = [ENCODER.defects.index(d.name(HOST)) for d in configuration.defects]
    sites = [d.site for d in configuration.defects]
    table, pairs = ENCODER.table, []
    for i in range(len(sites)):
        for j in range(len(sites)):
            if i == j or kinds[i] > kinds[j] or (kinds[i] == kinds[j] and i > j):
                continue
            orbit = int(table.orbit[sites[i], sites[j]])
            if kinds[i] == kinds[j]:
                orbit = min(orbit, int(table.reverse[orbit]))
            code = kinds[i] * 2 + kinds[j]
            column = np.flatnonzero(((code, orbit) == COLUMNS).all(axis=1))
            pairs.append(float(found.pairs[column[0]]))
    if found.rule == "sum":
        return found.constant + sum(found.singles[kinds]) + sum(pairs)
    reduce = min if found.rule == "min" else max
    return reduce(pairs) if pairs else float(found.singles[kinds[0]])


@pytest.mark.parametrize("rule", ["sum", "min", "max"])
def test_terms_make_the_property(rule: str) -> None:
    configurations = some()
    found = terms(rule)
    batch = Encoded(configurations, ENCODER)
    expected = [by_hand(c, found) for c in configurations]
    assert ShellsModel(ENCODER, found).predict(batch) == pytest.approx(expected)
    assert found.predict(Encoded([Configuration(HOST, ())], ENCODER).occupancy) == pytest.approx(5)


def a_formula_model() -> FormulaModel:
    text = "0.5*exp(-r/2)*(1 + 0.1*h)"
    points = np.array([[3.2, 0.0, 0.1, 4.0], [5.5, 3.1, 0.05, 2.0]])
    formula = Formula(("V_S", "V_S"), Expression.parse(text, VARIABLES), points)
    bare = PairwiseTerms("sum", 0.0, SINGLES, np.zeros(len(COLUMNS)))
    return FormulaModel.of(ENCODER, bare, [formula])


def test_a_formula_says_what_its_pairs_add() -> None:
    sites = [i for i, s in enumerate(HOST.species) if s == "S"]
    pair = Configuration.from_changes(HOST, {sites[0]: "VAC", sites[3]: "VAC"})
    i, j = (d.site for d in pair.defects)
    r = HOST.distances[i, j]
    h = abs(HOST.cart_coords[i, 2] - HOST.cart_coords[j, 2])
    found = a_formula_model().predict(Encoded([pair], ENCODER))
    assert found == pytest.approx([2.0 + 0.5 * np.exp(-r / 2) * (1 + 0.1 * h)], abs=1e-6)


def test_formulas_are_kept_as_text(tmp_path: Path) -> None:
    model = a_formula_model()
    model.save(tmp_path)
    batch = Encoded(some(), ENCODER)
    again = FormulaModel.load(tmp_path, ENCODER)
    assert again.predict(batch) == pytest.approx(model.predict(batch))
    assert "V[V_S, V_S] = 0.5*exp(-r/2)*(1 + 0.1*h)" in (tmp_path / "formulas.txt").read_text()
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".txt"}


@pytest.mark.parametrize(
    "change",
    [
        {"expression": "__import__('os').getcwd()"},
        {"expression": "1/(r - r)"},
        {"kinds": ["V_S", "V_Te"]},
        {"kinds": None},
    ],
)
def test_a_changed_formula_is_refused(tmp_path: Path, change: dict) -> None:
    a_formula_model().save(tmp_path)
    path = tmp_path / "formulas.json"
    data = json.loads(path.read_text())
    data[0].update(change)
    path.write_text(json.dumps(data))
    with pytest.raises(ModelError):
        FormulaModel.load(tmp_path, ENCODER)


def test_terms_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    ShellsModel(ENCODER, terms("min")).save(tmp_path)
    with pytest.raises(ModelError, match="pair terms"):
        ShellsModel.load(tmp_path, SparseEncoder(HOST, ("V_S",)))
    (tmp_path / "terms.json").write_text("{")
    with pytest.raises(ModelError, match="pair terms"):
        ShellsModel.load(tmp_path, ENCODER)


def test_the_drawing_shows_every_formula_and_point() -> None:
    models = {"formation_energy": a_formula_model()}
    svg = formulas_svg(models)
    assert svg.count("<circle") == 2
    # One line per height, as the formula depends on it.
    assert svg.count("<polyline") == 2
    assert "V[V_S, V_S]" in svg
    assert "E[V_Mo] = 2" in formulas_text(models)
