"""What the surrogate knows of near configurations becomes instructions."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proposers"))

from proposer_context import gap, make_context

from design_loop.campaign.distil import distilled
from design_loop.proposers.moves import Moves


@pytest.fixture
def context(tmp_path):
    context, ledger = make_context(tmp_path, "{kind: random}")
    with ledger:
        yield context


def with_distil(context, n):
    learn = context.config.learn.model_copy(update={"distil": n})
    return replace(context, config=context.config.model_copy(update={"learn": learn}))


def with_range(context, low, high):
    target = context.config.targets[0].model_copy(update={"min": low, "max": high})
    return replace(context, config=context.config.model_copy(update={"targets": (target,)}))


def doubt_tungsten(context, std):
    """Have the surrogate be unsure of what holds W, and sure of everything else."""
    whole = context.services.predict

    def predict(configurations):
        spread = [{"homo_lumo_gap": std if c.counts()["W_Mo"] else 0.01} for c in configurations]
        return replace(whole(configurations), std=spread)

    context.services.predict = predict


def parents_of_all(monkeypatch):
    """Keys of the configurations whose neighbours are drawn, filled while that happens."""
    parents = []
    whole = Moves.neighbour

    def neighbour(self, configuration, rng):
        parents.append(configuration.key)
        return whole(self, configuration, rng)

    monkeypatch.setattr(Moves, "neighbour", neighbour)
    return parents


def test_without_the_setting_nothing_is_predicted(context):
    assert distilled(with_distil(context, 0), 1, set()) == []
    assert context.services.asked == 0


def test_the_nearest_of_many_with_the_surrogates_values(context):
    context = with_distil(context, 40)
    found = distilled(context, 1, context.training_keys)
    assert 300 < context.services.asked <= 400 and len(found) == 40
    keys = {c.key for c, _ in found}
    assert len(keys) == 40 and not keys & context.training_keys
    rules = context.config.rules
    assert all(rules.violation(c) is None for c, _ in found)
    assert all(row["homo_lumo_gap"] == pytest.approx(gap(c)) for c, row in found)
    # The target is 0.2 to 0.3 eV.
    errors = [context.config.targets[0].error(row["homo_lumo_gap"]) for _, row in found]
    assert errors == sorted(errors)
    rng = np.random.default_rng(0)
    usual = [gap(c) for c in context.domain.distinct(200, rng, set())]
    assert np.mean(errors) < 0.5 * np.mean([context.config.targets[0].error(g) for g in usual])


def test_neighbours_of_the_best_reach_what_random_draws_do_not(context, monkeypatch):
    context = with_distil(context, 30)
    context = with_range(context, 0.04, 0.05)
    [target] = context.config.targets

    def mean_error():
        taught = [distilled(context, n, set()) for n in range(1, 6)]
        return np.mean([target.error(row["homo_lumo_gap"]) for rows in taught for _, row in rows])

    evolved = mean_error()
    monkeypatch.setattr("design_loop.campaign.distil.GENERATIONS", 0)
    assert evolved < 0.8 * mean_error()


def test_what_is_labelled_has_children_too(context, monkeypatch):
    """Neighbours of known hits are looked at, where random draws find nothing near."""
    context = with_distil(context, 20)
    record = min(context.dataset, key=lambda r: r.properties["homo_lumo_gap"])
    lowest, best = record.properties["homo_lumo_gap"], record.configuration
    context = with_range(context, lowest, lowest + 0.01)
    parents = parents_of_all(monkeypatch)
    taught = distilled(context, 1, context.training_keys)
    assert parents.count(best.key) >= 2
    # Itself it is known, and not taught again.
    assert best.key not in {c.key for c, _ in taught}


def test_labelled_hits_leave_half_of_the_places_to_what_is_predicted(context, monkeypatch):
    """However many there are: else no child would ever have children."""
    context = with_distil(context, 20)
    context = with_range(context, 0.2, 1.2)
    [target] = context.config.targets
    assert sum(target.satisfied(r.properties["homo_lumo_gap"]) for r in context.dataset) > 20
    parents = parents_of_all(monkeypatch)
    distilled(context, 1, context.training_keys)
    labelled = np.mean([key in context.training_keys for key in parents])
    assert 0.3 < labelled < 0.7


def test_what_lies_near_is_taught_before_what_nothing_is_known_of(context):
    """A doubtful prediction far away is likelier to be a hit than a sure one near by."""
    context = with_distil(context, 20)
    context = with_range(context, -3.0, -2.9)
    [target] = context.config.targets
    doubt_tungsten(context, 3.0)
    taught = distilled(context, 1, context.training_keys)
    errors = [target.error(row["homo_lumo_gap"]) for _, row in taught]
    assert min(errors) > 0 and errors == sorted(errors)
    assert not all(c.counts()["W_Mo"] for c, _ in taught)


def test_of_what_meets_the_target_the_sure_ones_are_taught_first(context):
    context = with_distil(context, 10)
    context = with_range(context, 0.2, 1.4)
    doubt_tungsten(context, 1.0)
    assert not any(c.counts()["W_Mo"] for c, _ in distilled(context, 1, context.training_keys))


def test_what_the_surrogate_calls_foreign_is_not_taught(context):
    context = with_distil(context, 20)
    whole = context.services.predict

    def predict(configurations):
        found = whole(configurations)
        return replace(found, ood=[c.counts()["V_Mo"] > 0 for c in configurations])

    context.services.predict = predict
    taught = distilled(context, 1, set())
    assert len(taught) == 20
    assert not any(c.counts()["V_Mo"] for c, _ in taught)


def test_a_step_that_is_run_again_draws_the_same_and_another_round_others(context):
    context = with_distil(context, 10)
    first, again, other = (distilled(context, n, set()) for n in (1, 1, 2))
    assert [c.key for c, _ in first] == [c.key for c, _ in again]
    assert {c.key for c, _ in first} != {c.key for c, _ in other}
