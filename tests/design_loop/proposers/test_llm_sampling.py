"""How long the language model is asked, where only what a table holds counts as a proposal."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from proposer_context import make_context

from defects.text import build_answer
from serve.client import Completion


class Model:
    """Answers every prompt with the crystals that it was given, over and over."""

    def __init__(self, texts):
        self.texts, self.asked = itertools.cycle(texts), []

    def sample(self, prompts, adapter, *, n, temperature, logprobs=False, **_options):
        if logprobs:  # the probe that new weights are there
            return [[Completion("", "stop", 1, -1.0 if adapter is None else -2.0)]]
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
    assert list(temperatures) == sorted(temperatures)
    assert max(temperatures) == 2.0
    assert max(sizes) <= 10 * 16 + 3
    assert len(sizes) == 8
    said = run.info["batches"]
    assert [b["temperatures"] for b in said] == [[t] for t in temperatures]
    assert sum(b["countable"] for b in said) == 3


def test_enough_new_answers_end_it(context):
    context.services = Model(_texts(context, 40))
    run = SimpleNamespace(info={})
    context.proposer.propose(context, 1, run)
    assert "batches" not in run.info
    assert [size for size, _ in context.services.asked] == [16]
