"""Steps 3 and 4 against a real ledger: what is recorded of predictions and choices."""

from __future__ import annotations

import pytest

from design_loop.campaign.propose import check, generate
from design_loop.campaign.screen import choose, predict
from design_loop.ledger import Surrogate
from serve.client import RemotePredictions
from tests.design_loop.proposers.proposer_context import gap, make_context


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


def test_what_selection_saw_and_why_it_chose_is_in_the_ledger(context):
    ledger = context.ledger
    ledger.start_round(context.id, 1)
    for name, step in {
        "generate": generate,
        "check": check,
        "predict": predict,
        "select": choose,
    }.items():
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
    assert all(f"place {s.parts['place']} of {s.parts['of']}" in s.reason for s in chosen)
    [told] = [s.info for s in ledger.steps(context.id, 1) if s.name == "select"]
    assert told["shares"] == {"best": 2, "explore": 2}
