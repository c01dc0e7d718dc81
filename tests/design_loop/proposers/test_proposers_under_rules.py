"""Proposers under rules of places, counts, separations and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from defects.hosts import get_host
from defects.rules import Rules
from design_loop.proposers.domain import Domain
from design_loop.proposers.moves import Moves
from tests.design_loop.proposers.proposer_context import make_context, play_round, propose

TIGHT = {
    "defects": ["V_Mo", "V_S", "W_Mo", "Se_S"],
    "min_defects": 3,
    "max_defects": 4,
    "where": {"Se_S": "top"},
    "counts": {"V_S": [1, 2], "W_Mo": [0, 1]},
    "min_separation": {"any": 3.0, "V_S-V_S": 5},
    "frozen": ["Mo0 2 2"],
    "seeds": ["S1 0 0 VAC", "S2 1 1 VAC"],
}
KINDS = {
    "random": "{kind: random}",
    "genetic": "{kind: genetic, population: 8}",
    "tpe": "{kind: tpe, startup: 6}",
    "gibbs": "{kind: gibbs, sweeps: 6, distil: 100}",
}


@pytest.fixture
def context_of(tmp_path):
    opened = []

    def make(kind):
        context, ledger = make_context(tmp_path, KINDS[kind], samples=10)
        rules = Rules.model_validate(TIGHT)
        context.config = context.config.model_copy(update={"rules": rules})
        opened.append(ledger)
        return context

    yield make
    for ledger in opened:
        ledger.close()


@pytest.mark.parametrize("kind", KINDS)
def test_proposals_keep_the_rules_where_they_lie(context_of, kind):
    context = context_of(kind)
    ours = context.config.rules.on(context.host)
    found, told = propose(context, 1)
    assert len({c.key for c in found}) == 10
    assert [ours.as_placed(c.changes) for c in found] == [None] * 10
    assert {c.n_defects for c in found} <= {3, 4}
    # Searched for, not drawn where the search found nothing.
    assert told.get("at_random", 0) <= 5


def test_rounds_drop_none_of_them_and_keep_them_as_placed(context_of):
    context = context_of("random")
    ours = context.config.rules.on(context.host)
    play_round(context, 1)
    samples = context.ledger.samples(context.id, 1)
    assert len(context.ledger.candidates(context.id, 1)) == 10
    assert not [s.drop_detail for s in samples if s.drop_reason]
    for candidate in context.ledger.candidates(context.id, 1):
        assert ours.as_placed(context.configuration(candidate.configuration).changes) is None


def test_neighbours_keep_the_seed_and_the_rules():
    host, rules, rng = get_host("MoS2", "4x4"), Rules(**TIGHT), np.random.default_rng(2)
    domain = Domain(host, rules)
    ours, moves = rules.on(host), Moves(host, rules, domain)
    for _ in range(10):
        start = domain.random(rng)
        near = moves.neighbour(start, rng)
        assert near is not None
        assert near.changes != start.changes
        assert ours.as_placed(near.changes) is None
        assert len(set(near.changes.items()) & set(start.changes.items())) >= start.n_defects - 1


def test_what_breaks_the_rules_becomes_something_near_that_does_not():
    host, rules, rng = get_host("MoS2", "4x4"), Rules(**TIGHT), np.random.default_rng(3)
    domain, plain = Domain(host, rules), Domain(host, rules.plain)
    kept = []
    for _ in range(20):
        wish = plain.random(rng)
        near = domain.near(wish, rng)
        assert rules.on(host).as_placed(near.changes) is None
        kept.append(len(set(near.changes.items()) & set(wish.changes.items())))
    assert np.mean(kept) > 0.7
