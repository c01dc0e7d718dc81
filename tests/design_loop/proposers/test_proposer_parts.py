"""Energies, moves, the pairwise formula and the chains on it."""

from __future__ import annotations

import math
from unittest.mock import Mock

import numpy as np
import pytest

from defects.datasets import Dataset, Record
from defects.errors import ConfigError
from defects.hosts import get_host
from defects.oracles.table import TableOracle
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.targets import Target, probability_of_meeting
from design_loop.proposers.domain import Domain
from design_loop.proposers.energy import target_energy, total_energy
from design_loop.proposers.gibbs import Chains
from design_loop.proposers.moves import Moves
from design_loop.proposers.pairwise import Alternatives, PairwiseFormula
from tests.design_loop.proposers.proposer_context import gap

HOST = get_host("MoS2", (4, 4, 1))
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), min_defects=1, max_defects=4)
WINDOW = Target(property="homo_lumo_gap", min=0.2, max=0.3)


def _random(n, seed=0):
    rng = np.random.default_rng(seed)
    return [random_configuration(HOST, RULES, rng) for _ in range(n)]


@pytest.mark.parametrize("value", [0.1, 0.25, 0.45])
def test_the_energy_is_the_logarithm_of_the_probability(value):
    mean, std = {"homo_lumo_gap": value}, {"homo_lumo_gap": 0.08}
    expected = -math.log(probability_of_meeting([WINDOW], mean, std))
    assert total_energy([WINDOW], [mean], [std])[0] == pytest.approx(expected, rel=1e-9)


def test_the_energy_has_a_slope_where_the_probability_is_zero():
    far = target_energy(WINDOW, np.array([0.3, 1.0, 3.0, 30.0, -30.0]), 0.01)
    assert np.isfinite(far).all()
    assert (np.diff(far[:4]) > 0).all()
    assert far[4] > far[2]


def test_an_extreme_is_a_slope_and_weights_count():
    low = Target(property="homo", goal="minimize")
    twice = Target(property="homo", goal="maximize", weight=2)
    values = np.array([-1.0, 0.0, 1.0])
    assert (np.diff(target_energy(low, values, 0.1)) > 0).all()
    assert target_energy(twice, values, 0.1) == pytest.approx(-2 * target_energy(low, values, 0.1))


def test_neighbours_obey_the_rules_and_all_moves_happen():
    domain = Domain(HOST, RULES)
    moves, rng = Moves(HOST, RULES, domain), np.random.default_rng(1)
    changes = set()
    for c in _random(60):
        for _ in range(5):
            n = moves.neighbour(c, rng)
            assert n is not None
            assert RULES.violation(n) is None
            assert n.changes != c.changes
            touched = set(n.changes.items()) ^ set(c.changes.items())
            assert len(touched) <= 2
            changes.add(n.n_defects - c.n_defects)
    assert changes == {-1, 0, 1}


def test_a_space_that_is_used_up_gives_what_there_is():
    few = Rules(defects=("V_S",), min_defects=1, max_defects=2)
    domain, rng = Domain(HOST, few), np.random.default_rng(0)
    every = domain.distinct(50, rng, ())
    assert len(every) < 50
    known = {every[0].key}
    assert {c.key for c in domain.distinct(50, rng, known)} == {c.key for c in every} - known


def test_rows_of_a_table_that_draws_seldom_meet_are_found(monkeypatch):
    few = tuple(Record(str(i), c, {"homo_lumo_gap": 1.0}) for i, c in enumerate(_random(6, seed=3)))
    domain = Domain(HOST, RULES, TableOracle(Dataset(HOST, few)))
    rng, keys = np.random.default_rng(0), {r.configuration.key for r in few}
    assert domain.random(rng).key in keys
    draws = Mock(side_effect=AssertionError("no draws are needed"))
    monkeypatch.setattr(Domain, "random", draws)
    assert {c.key for c in domain.distinct(10, rng, ())} == keys
    known = set(sorted(keys)[:4])
    assert {c.key for c in domain.distinct(2, rng, known)} == keys - known
    with pytest.raises(AssertionError, match="no draws"):
        domain.distinct(1, rng, ())
    monkeypatch.undo()
    barren = Domain(HOST, Rules(defects=("Te_S",), min_defects=1, max_defects=1), domain.table)
    with pytest.raises(ConfigError, match="holds no configuration that the rules allow"):
        barren.random(rng)


def test_alternatives_come_back_and_pairs_are_those_of_the_symmetry():
    a = Alternatives(HOST, RULES)
    some = _random(40)
    codes = a.encode(some)
    assert [a.decode(row).changes for row in codes] == [c.changes for c in some]
    image = [c.transform(HOST.symmetry[37]) for c in some]
    for row, other in zip(codes, a.encode(image), strict=True):
        row, other = row[row >= 0], other[other >= 0]
        pairs = sorted(a.orbit[i, j] for i in row for j in row if i < j)
        assert pairs == sorted(a.orbit[i, j] for i in other for j in other if i < j)


def test_the_formula_learns_what_is_a_sum_over_pairs():
    a = Alternatives(HOST, RULES)
    train, test = _random(1500), _random(100, seed=1)
    formula = PairwiseFormula.fit(a, train, np.array([gap(c) for c in train]), np.ones(len(train)))
    error = formula.predict(a, a.encode(test)) - [gap(c) for c in test]
    assert np.abs(error).mean() < 0.01
    assert formula.spread == pytest.approx(np.sqrt(np.mean(error**2)), abs=0.01)


def test_cold_chains_end_in_the_window_and_hot_ones_anywhere():
    a = Alternatives(HOST, RULES)
    train = _random(1500)
    formula = PairwiseFormula.fit(a, train, np.array([gap(c) for c in train]), np.ones(len(train)))
    formula.spread = 0.05
    chains = Chains(Domain(HOST, RULES), a, (WINDOW,), [formula])
    inside = {}
    for name, beta in (("hot", 1e-6), ("cold", 3.0)):
        ends = chains.run(40, np.geomspace(1e-3 if beta > 1 else beta, beta, 12),
                          np.random.default_rng(2))  # fmt: skip
        found = [a.decode(row) for row in ends]
        assert all(RULES.violation(c) is None for c in found)
        inside[name] = np.mean([0.15 < gap(c) < 0.35 for c in found])
    assert inside["cold"] > 0.8
    assert inside["hot"] < 0.4
