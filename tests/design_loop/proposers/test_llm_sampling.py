"""How long the language model is asked, where only what a table holds counts as a proposal."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from proposer_context import make_context

from defects.configuration import Configuration
from defects.text import build_answer, parse_answer
from serve.client import Completion


class Model:
    """Answers every prompt with the crystals that it was given, over and over."""

    def __init__(self, texts):
        self.texts, self.asked, self.constraints = itertools.cycle(texts), [], []

    def sample(
        self, prompts, adapter, *, n, temperature, logprobs=False, constraints=None, **_options
    ):
        if logprobs:  # the probe that new weights are there
            return [[Completion("", "stop", 1, -1.0 if adapter is None else -2.0)]]
        self.constraints.append(constraints)
        self.asked.append((len(prompts) * n, temperature))
        return [[Completion(next(self.texts), "stop", 9) for _ in range(n)] for _ in prompts]


@pytest.fixture
def context(tmp_path):
    made, ledger = make_context(tmp_path, "{kind: llm}", samples=16, oracle="table")
    ledger.start_round(made.id, 1, adapter="r001-000000000001")
    with ledger:
        yield made


def _texts(context, n):
    request = context.request({}, 0, 1)
    new = context.domain.distinct(n, np.random.default_rng(0), set(context.training_keys))
    return [build_answer(context.domain.placed(c), request, "compact") for c in new]


def test_a_model_that_repeats_itself_is_asked_hotter_and_not_for_ever(context):
    context.services = Model(_texts(context, 3))
    run = SimpleNamespace(info={})
    samples = context.proposer.propose(context, 1, run)
    sizes, temperatures = zip(*context.services.asked, strict=True)
    assert len({s.text for s in samples}) == 3
    assert temperatures[0] == context.config.generation.temperature
    usual = context.config.generation.temperature
    # Hotter while the model answers freely; where the grammar leaves out what is known it need not.
    assert list(temperatures[:3]) == [usual, usual * 1.15, usual * 1.15**2]
    assert set(temperatures[3:]) == {usual}
    assert max(sizes) <= 10 * 16 + 3
    assert len(sizes) == 8
    said = run.info["batches"]
    assert [b["temperatures"] for b in said] == [[t] for t in temperatures]
    assert sum(b["countable"] for b in said) == 3


def test_only_what_the_table_holds_and_nobody_knows_may_be_answered(context):
    texts = _texts(context, 5)
    context.services = Model(texts)
    run = SimpleNamespace(info={})
    context.proposer.propose(context, 1, run)
    host, request = context.host, context.request({}, 0, 1)
    free, listed = context.services.constraints[:3], context.services.constraints[3:]
    assert all("among" not in constraint for of_batch in free for constraint in of_batch)
    named = [Configuration.from_changes(host, dict(c)) for c in listed[0][0]["among"]]
    table = {
        r.configuration.key
        for r in context.domain.table.dataset
        if 2 <= r.configuration.n_defects <= 4
    }
    # What was answered is known from then on.
    said = {parse_answer(text, request, "compact").key for text in texts}
    assert {c.key for c in named} == table - context.training_keys - said
    assert len(named) == len(table - context.training_keys) - 5 > 20
    # The member that training shows, so that the model meets what it learnt.
    assert all(c == c.canonical() for c in named)
    assert [b["among"] for b in run.info["batches"][:4]] == [None, None, None, len(named)]


def test_the_last_batches_are_enough_where_the_first_are_not(context):
    few, many = _texts(context, 3), _texts(context, 60)

    class Lists(Model):
        def sample(self, prompts, adapter, *, n, constraints=None, **options):
            if constraints is not None and "among" in constraints[0]:
                self.texts = itertools.cycle(t for t in many if t not in few)
            return super().sample(prompts, adapter, n=n, constraints=constraints, **options)

    context.services = Lists(few)
    run = SimpleNamespace(info={})
    context.proposer.propose(context, 1, run)
    *free, last = run.info["batches"]
    assert [b["countable"] for b in free] == [3, 0, 0]
    assert last["countable"] == 13
    assert last["samples"] == 13 <= context.services.asked[-1][0] <= 28


def test_a_table_that_is_known_is_not_asked_for(context, monkeypatch):
    everything = {c.key for c in context.domain.listed}
    monkeypatch.setattr("design_loop.proposers.llm.known_keys", lambda _: everything)
    context.services = Model(["S1 0 0 VAC"])
    assert context.proposer.propose(context, 1, SimpleNamespace(info={})) == []
    assert context.services.asked == []


@pytest.mark.parametrize("change", [{"constrained": False}, {"format": "full"}])
def test_where_answers_cannot_be_listed_the_rules_are_all_that_holds(context, change):
    generation = context.config.generation.model_copy(update=change)
    config = context.config.model_copy(update={"generation": generation})
    context = replace(context, config=config)
    context.services = Model(["nothing"])
    context.proposer.propose(context, 1, SimpleNamespace(info={}))
    for of_batch in context.services.constraints:
        assert of_batch is None or all("among" not in c for c in of_batch)


def test_enough_new_answers_end_it(context):
    context.services = Model(_texts(context, 40))
    run = SimpleNamespace(info={})
    context.proposer.propose(context, 1, run)
    assert "batches" not in run.info
    assert [size for size, _ in context.services.asked] == [16]
