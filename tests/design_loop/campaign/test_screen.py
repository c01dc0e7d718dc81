"""Steps 3 and 4 against a real ledger: what is recorded of predictions and choices."""

from __future__ import annotations

import pytest

from design_loop.campaign.propose import check, generate
from design_loop.campaign.screen import choose, predict
from design_loop.ledger import Surrogate
from design_loop.summary import summarise_campaign
from serve.client import RemotePredictions
from tests.design_loop.proposers.proposer_context import gap, make_context

STEPS = {"generate": generate, "check": check, "predict": predict, "select": choose}


class Doubtful:
    """A surrogate that knows of one configuration in four that it is outside of its labels."""

    def predict(self, configurations):
        n = len(configurations)
        return RemotePredictions(
            [{"homo_lumo_gap": gap(c)} for c in configurations],
            [{"homo_lumo_gap": 0.02 + 0.01 * i} for i in range(n)],
            [i % 4 == 0 for i in range(n)],
            ("homo_lumo_gap",),
            "doubtful",
        )


@pytest.fixture
def context(tmp_path):
    made, ledger = make_context(tmp_path, "{kind: random}", samples=12)
    made.services = Doubtful()
    update = {
        "budget": 4,
        "strategy": "probability",
        "exploration": 0.5,
        "out_of_domain": "explore",
    }
    selection = made.config.selection.model_copy(update=update)
    made.config = made.config.model_copy(update={"selection": selection})
    yield made
    ledger.close()


class Learning:
    """A surrogate whose first version takes wide gaps for narrow ones; the next knows better."""

    def __init__(self):
        self.version = "first"

    def predict(self, configurations):
        wrong = self.version == "first"
        mean = [{"homo_lumo_gap": 2.0 - gap(c) if wrong else gap(c)} for c in configurations]
        n = len(mean)
        std = [{"homo_lumo_gap": 0.02}] * n
        return RemotePredictions(mean, std, [False] * n, ("homo_lumo_gap",), self.version)


def _round(context, number, version):
    context.ledger.start_round(context.id, number)
    context.services.version = version
    for name, step in STEPS.items():
        with context.ledger.step(context.id, number, name) as run:
            if name == "generate" and version not in {
                s.version for s in context.ledger.surrogates(context.id)
            }:
                run.add_surrogate(Surrogate(version, "nowhere", {}))
            step(context, number, run)
    with context.ledger.step(context.id, number, "verify"):
        pass
    with context.ledger.step(context.id, number, "learn"):
        pass
    context.ledger.finish_round(context.id, number)


def test_what_was_passed_over_stands_for_selection_again(context):
    ledger, context.services = context.ledger, Learning()
    selection = context.config.selection.model_copy(
        update={"strategy": "quantile", "quantile": 1.0, "exploration": 0.0, "diversity": 0.0}
    )
    context.config = context.config.model_copy(update={"selection": selection})
    _round(context, 1, "first")
    first = {c.key for c in ledger.candidates(context.id, 1)}
    taken = {s.candidate for s in ledger.selections(context.id, 1)}
    _round(context, 2, "second")
    new = {c.key for c in ledger.candidates(context.id, 2)}
    seen = {p.candidate: name for name, p in ledger.predictions(context.id, 2)}
    assert set(seen) == new | (first - taken)
    assert set(seen.values()) == {"second"}
    chosen = {s.candidate for s in ledger.selections(context.id, 2)}
    best = sorted(ledger.predictions(context.id, 2), key=lambda p: p[1].surrogate_error)
    assert max(p.surrogate_error for _, p in best if p.candidate in chosen) <= min(
        p.surrogate_error for _, p in best if p.candidate not in chosen
    )
    info = {s.name: s.info for s in ledger.steps(context.id, 2)}
    assert info["predict"]["reconsidered"] == len(first - taken)
    assert info["select"]["of_earlier_rounds"] == len(chosen & first)
    # Every candidate counts once, in the round that found it.
    assert ledger.funnel(context.id, 2).predicted == len(new)
    assert ledger.funnel(context.id).predicted == len(first | new)
    assert ledger.funnel(context.id, 2).earlier == len(chosen & first) > 0
    summary = summarise_campaign(ledger, context.id)
    assert [r.funnel.earlier for r in summary.rounds] == [0, 0, len(chosen & first)]
    assert [r.funnel.predicted for r in summary.rounds] == [0, len(first), len(new)]
    # The same surrogate has nothing new to say.
    _round(context, 3, "second")
    again = {p.candidate for _, p in ledger.predictions(context.id, 3)}
    assert again == {c.key for c in ledger.candidates(context.id, 3)}


def test_candidates_are_not_reconsidered_where_the_file_says_so(context):
    context.services = Learning()
    selection = context.config.selection.model_copy(
        update={"reconsider": False, "strategy": "quantile"}
    )
    context.config = context.config.model_copy(update={"selection": selection})
    _round(context, 1, "first")
    _round(context, 2, "second")
    seen = {p.candidate for _, p in context.ledger.predictions(context.id, 2)}
    assert seen == {c.key for c in context.ledger.candidates(context.id, 2)}


def test_what_selection_saw_and_why_it_chose_is_in_the_ledger(context):
    ledger = context.ledger
    ledger.start_round(context.id, 1)
    for name, step in STEPS.items():
        with ledger.step(context.id, 1, name) as run:
            if name == "generate":
                run.add_surrogate(Surrogate("doubtful", "nowhere", {}))
            step(context, 1, run)
    outside = {p.candidate for _, p in ledger.predictions(context.id, 1) if p.out_of_domain}
    assert len(outside) == 3
    chosen = ledger.selections(context.id, 1)
    assert [s.parts["share"] for s in chosen] == ["best", "best", "explore", "explore"]
    assert [s.candidate in outside for s in chosen] == [False, False, True, True]
    assert all(s.parts["out_of_domain"] == (s.candidate in outside) for s in chosen)
    for s in chosen:
        kept = f"{s.parts['kept']} kept of " if s.parts["share"] == "best" else ""
        assert f"place {s.parts['place']} of {kept}{s.parts['of']}" in s.reason
    [told] = [s.info for s in ledger.steps(context.id, 1) if s.name == "select"]
    assert told["shares"] == {"best": 2, "explore": 2}
