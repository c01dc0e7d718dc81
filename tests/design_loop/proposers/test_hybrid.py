"""The language model's answers walk downhill on the surrogate, and stand in the record as made."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from defects.rules import Rules
from defects.text import build_answer
from design_loop.campaign.propose import check, generate
from design_loop.proposers import hybrid
from design_loop.proposers.energy import Scorer
from design_loop.proposers.history import known_keys
from design_loop.proposers.hybrid import REFINED, refine
from design_loop.proposers.moves import Moves
from serve.client import Completion, RemotePredictions
from tests.design_loop.proposers.proposer_context import KnownSurrogate, make_context
from tests.design_loop.proposers.test_proposers_under_rules import TIGHT

KIND = "{kind: hybrid, steps: 4, moves: 4}"


@pytest.fixture
def context_of(tmp_path):
    opened = []

    def make(rules=None, samples=24, proposer=KIND, **settings):
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        context, ledger = make_context(folder, proposer, samples, **settings)
        opened.append(ledger)
        if rules is not None:
            changed = {"rules": Rules.model_validate(rules)}
            context.config = context.config.model_copy(update=changed)
        return context

    yield make
    for ledger in opened:
        ledger.close()


def _starts(context, n=16):
    return context.domain.distinct(n, np.random.default_rng(7), known_keys(context))


@pytest.mark.parametrize("rules", [None, TIGHT], ids=["loose", "tight"])
def test_walks_never_rise_and_end_at_what_is_new_and_allowed(context_of, rules):
    context = context_of(rules)
    known, score, starts = known_keys(context), Scorer(context), _starts(context)
    ends = refine(context, starts, score, known, np.random.default_rng(1))
    before, after = score(starts), score(ends)
    assert len(ends) == len(starts)
    assert (after <= before).all()
    assert np.median(after) < np.median(before), "none got anywhere"
    keys = {c.key for c in ends}
    assert len(keys) == len(ends)
    assert not keys & known
    assert all(context.config.rules.violation(c) is None for c in ends)


class Flat(KnownSurrogate):
    """To which all configurations are as good."""

    def predict(self, configurations):
        rows = [{"homo_lumo_gap": 1.0}] * len(configurations)
        spread = [{"homo_lumo_gap": 0.1}] * len(configurations)
        return RemotePredictions(rows, spread, [False] * len(rows), ("homo_lumo_gap",), "flat")


def test_what_is_known_or_said_twice_leaves_its_place_for_something_new(context_of):
    """Even where nothing is better: it would be dropped where it stands."""
    context = context_of()
    context.services = Flat()
    known = known_keys(context)
    # Pairs have hardly a neighbour that the dataset lacks.
    old = [r.configuration for r in context.dataset if r.configuration.n_defects == 4][:4]
    fresh = _starts(context, 2)
    starts = [*old, *fresh, fresh[0]]
    assert len(old) == 4 and {c.key for c in old} <= known
    ends = [c.key for c in refine(context, starts, Scorer(context), known, context.rng(1, 3))]
    assert len(set(ends)) == len(starts)
    assert not known & set(ends)
    assert ends[4:6] == [c.key for c in fresh]


def _crowded(context, draws=4000):
    """A known configuration, and the keys of all that is one move away from it."""
    domain, rng = context.domain, np.random.default_rng(2)
    moves = Moves(domain.host, domain.rules, domain)
    [start] = [r.configuration for r in context.dataset if r.configuration.n_defects == 2][:1]
    around = [moves.neighbour(start, rng) for _ in range(draws)]
    return start, known_keys(context) | {c.key for c in around if c is not None}


@pytest.mark.parametrize("steps", [0, 6])
def test_an_answer_among_known_ones_goes_on_to_something_new(context_of, steps):
    context = context_of(proposer=f"{{kind: hybrid, steps: {steps}, moves: 4}}")
    start, known = _crowded(context)
    starts = [start] * 5
    ends = refine(context, starts, Scorer(context), known, context.rng(1, 3))
    keys = {c.key for c in ends}
    assert len(keys) == len(starts)
    assert not keys & known
    assert all(c in context.domain for c in ends)


def test_the_last_rows_of_a_table_are_all_found(context_of):
    context = context_of(oracle="table")
    rows = context.domain.listed
    left = {c.key for c in rows[-3:]}
    known = {c.key for c in rows} - left
    starts = rows[:5]
    ends = [c.key for c in refine(context, starts, Scorer(context), known, context.rng(1, 3))]
    assert left <= set(ends)
    # The others stay where they are.
    assert sum(a.key == b for a, b in zip(starts, ends, strict=True)) == 2


def test_where_nothing_is_better_an_answer_stays_as_it_is(context_of):
    context = context_of()
    context.services = Flat()
    starts = _starts(context)
    ends = refine(context, starts, Scorer(context), known_keys(context), context.rng(1, 3))
    assert [c.changes for c in ends] == [c.changes for c in starts]


def test_a_table_as_oracle_bounds_where_answers_walk(context_of):
    context = context_of(oracle="table")
    starts = _starts(context, 6)
    ends = refine(context, starts, Scorer(context), known_keys(context), context.rng(1, 3))
    assert {c.key for c in ends} != {c.key for c in starts}
    assert all(context.domain.labelable(c) for c in ends)


class Answering(KnownSurrogate):
    """A model that says random configurations of the rules, and every fifth time nothing."""

    def __init__(self, context, said=None):
        super().__init__()
        self.context, self.said = context, said

    def sample(self, prompts, adapter, **sampling):
        rng = np.random.default_rng([sampling["seed"], len(adapter or "")])
        fmt = self.context.config.generation.format

        def answer(place):
            if rng.random() < 0.2:
                return Completion("no idea", "stop", 3, -1.0)
            request = self.context.request({}, place, 1)
            said = build_answer(self.said or self.context.domain.random(rng), request, fmt)
            return Completion(said, "stop", 9, float(rng.random()))

        return [[answer(i) for _ in range(sampling["n"])] for i in range(len(prompts))]


def _propose(context, monkeypatch):
    """A round's samples, and what the refinement was given and gave back."""
    seen = {}

    def watched(context, start, score, known, rng):
        seen["start"] = start
        seen["end"] = refine(context, start, score, known, rng)
        return seen["end"]

    monkeypatch.setattr(hybrid, "refine", watched)
    run = SimpleNamespace(info={})
    context.services = Answering(context)
    return context.proposer.propose(context, 1, run), seen, run.info


@pytest.mark.parametrize("fmt", ["compact", "full"])
def test_refined_samples_are_read_back_alike_and_the_answer_is_kept(
    context_of, monkeypatch, fmt
):  # fmt: skip
    context = context_of(TIGHT)
    generation = context.config.generation.model_copy(update={"format": fmt})
    context.config = context.config.model_copy(update={"generation": generation})
    context.ledger.start_round(context.id, 1, adapter="r001-a")
    samples, seen, info = _propose(context, monkeypatch)
    ends = iter(seen["end"])
    starts = iter(seen["start"])
    refined = 0
    for sample in samples:
        if "no idea" in sample.text:
            assert sample.finish_reason == "stop"
            continue
        start, end = next(starts), next(ends)
        read = context.proposer.read(context, 1, sample)
        assert read.key == end.key
        assert context.config.rules.on(context.host).as_placed(read.changes) is None
        if sample.finish_reason == REFINED:
            refined += 1
            assert end.key != start.key
            request = context.request({}, sample.index // 4, 1)
            assert sample.prompt.endswith(build_answer(start, request, fmt))
    assert next(ends, None) is None
    assert info["refined"] == refined > 0


def test_a_round_that_is_run_again_refines_the_same(context_of, monkeypatch):
    context = context_of()
    context.ledger.start_round(context.id, 1, adapter="r001-a")
    first, second = (_propose(context, monkeypatch)[0] for _ in range(2))
    assert [(s.text, s.finish_reason) for s in first] == [(s.text, s.finish_reason) for s in second]
    assert any(s.finish_reason == REFINED for s in first)


@pytest.mark.parametrize("oracle", ["xtb", "table"])
def test_a_model_that_says_the_same_known_thing_still_makes_as_many_proposals(context_of, oracle):
    context = context_of(oracle=oracle)
    start, _ = _crowded(context, draws=0)
    context.ledger.start_round(context.id, 1, adapter="r001-a")
    context.services = Answering(context, said=start)
    run = SimpleNamespace(info={})
    samples = context.proposer.propose(context, 1, run)
    read = [s for s in samples if s.text != "no idea"]
    keys = {context.proposer.read(context, 1, s).key for s in read}
    assert len(keys) == len(read) == run.info["refined"] > 10
    assert not keys & known_keys(context)


def test_the_models_own_answers_are_watched_and_not_what_became_of_them(context_of):
    """It says one crystal over and over; all that is proposed differs and is new."""
    context = context_of()
    ledger = context.ledger
    start, _ = _crowded(context, draws=0)
    context.services = Answering(context, said=start)
    ledger.start_round(context.id, 1, adapter="r001-a")
    for name, step in {"generate": generate, "check": check}.items():
        with ledger.step(context.id, 1, name) as run:
            step(context, 1, run)
    told = {s.name: s.info for s in ledger.steps(context.id, 1)}["check"]
    candidates = told["candidates"]
    found = told["diversity"]
    assert candidates > 10 and found["valid"] >= candidates
    assert (found["own"], found["unique"]) == (True, pytest.approx(1 / found["valid"]))
    assert found["distance"] == 0
    [event] = [e for e in ledger.events(context.id) if "collapsed" in e.message]
    assert "different crystals" in event.message
