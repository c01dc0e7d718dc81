"""What goes on from an adapter does not count what that one was taught already as new."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proposers"))

from proposer_context import gap, make_context

from defects.rules import Rules
from design_loop.campaign.learn import train_next_adapter
from design_loop.campaign.taught import Taught, taught_unlabelled
from training.instructions import read_instructions
from training.manifest import AdapterResult


@pytest.fixture
def context(tmp_path):
    context, ledger = make_context(tmp_path, "{kind: random}")
    with ledger:
        yield context


class _Trainer:
    """The known surrogate, and a training that publishes an adapter without having trained."""

    def __init__(self, surrogate):
        self.predict = surrogate.predict
        self.specs = []

    def fine_tune(self, spec, resources, on_progress):
        self.specs.append(spec)
        path = spec.root / spec.prefix
        return AdapterResult(path, spec.prefix, {"train_loss": 0.1}, dict(spec.facts))


def _learn(context, number):
    """The instructions that a round's learning writes, by key; those of the dataset left out."""
    context.ledger.start_round(context.id, number, step_names=("learn",))
    with context.ledger.step(context.id, number, "learn") as run:
        train_next_adapter(context, number, run)
    context.ledger.finish_round(context.id, number)
    items = read_instructions(context.folder / "instructions" / f"r{number:03d}.jsonl")[2]
    return {
        i.configuration.key: i for i in items if i.configuration.key not in context.training_keys
    }


def test_what_the_adapter_was_taught_already_is_replayed_and_not_new(context, monkeypatch):
    learn = context.config.learn.model_copy(update={"start_from": "previous", "distil": 60})
    # So small a space that most are met again.
    few = Rules(defects=("V_Mo", "V_S"), min_defects=3, max_defects=3)
    update = {"learn": learn, "rules": few}
    config = context.config.model_copy(update=update)
    context = replace(context, config=config, services=_Trainer(context.services))
    monkeypatch.setattr("training.bundled.resolve_base", lambda name: name)
    first, second = _learn(context, 1), _learn(context, 2)
    assert not any(i.learnt for i in first.values())
    again = first.keys() & second.keys()
    assert 5 < len(again) < 60
    assert {k for k, i in second.items() if i.learnt} == again
    old, new = context.services.specs
    assert (old.parent, new.parent.name) == (None, "r002")
    assert new.source.replay == learn.replay

    whole = context.services.predict

    def moved(configuration):
        return int(configuration.key, 16) % 2 == 1

    def refitted(configurations):
        """Another value for some by 0.02 eV; the target's tolerance is 0.05 eV."""
        mean = [{"homo_lumo_gap": gap(c) - (0.02 if moved(c) else 1e-4)} for c in configurations]
        return replace(whole(configurations), mean=mean)

    context.services.predict = refitted
    third = _learn(context, 3)
    both = [i for key, i in third.items() if key in second]
    assert [i.learnt for i in both] == [not moved(i.configuration) for i in both]
    assert 5 < sum(i.learnt for i in both) < len(both) - 5


def test_an_adapter_without_instructions_here_was_taught_nothing(context, tmp_path):
    record = next(iter(context.dataset))
    taught = Taught(tmp_path / "none.jsonl", context.config.targets)
    assert not taught.holds(record.configuration, record.properties)


def test_what_an_adapter_was_taught_without_a_label(context, monkeypatch):
    learn = context.config.learn.model_copy(update={"distil": 20})
    config = context.config.model_copy(update={"learn": learn})
    context = replace(context, config=config, services=_Trainer(context.services))
    monkeypatch.setattr("training.bundled.resolve_base", lambda name: name)
    taught = _learn(context, 1)
    [adapter] = context.ledger.adapters(context.id)
    rows = taught_unlabelled(context, adapter.name)
    assert len(rows) == 20
    assert sorted(r["homo_lumo_gap"] for r in rows) == sorted(
        i.properties["homo_lumo_gap"] for i in taught.values()
    )
    assert taught_unlabelled(context, "r001-of-another-one") == []
