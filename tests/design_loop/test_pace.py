"""How long a campaign still takes, and how many oracle calls it may make in all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from defects.properties import Property
from defects.targets import Target
from design_loop.ledger import Amendment, Campaign, CampaignState, Step, StepState
from design_loop.pace import pace, planned_calls
from design_loop.progress.state import in_unit
from design_loop.summary import error_unit

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _campaign(state):
    config = {"rounds": 4}
    return Campaign("c", "c", config, "h", 1, "w", {}, CampaignState(state), NOW, NOW, None)


def _step(number, name, state, seconds=None, started=None):
    return Step(number, name, StepState(state), 1, started, None, seconds, {}, None)


def test_what_is_left_follows_from_the_latest_rounds():
    rest = ("check", "predict", "select", "learn")
    steps = [_step(0, "prepare", "done", 500.0)]
    steps += [_step(n, "generate", "done", 10.0) for n in (1, 2)]
    steps += [_step(n, "verify", "done", 90.0 + 20 * n) for n in (1, 2)]
    steps += [_step(n, name, "done", 0.0) for n in (1, 2) for name in rest]
    steps += [_step(3, "generate", "done", 13.0)]
    steps += [_step(3, "verify", "running", None, NOW - timedelta(seconds=20))]
    found = pace(_campaign("running"), steps, now=NOW)
    # Round 3: 100 s remain of 120; round 4: 11 and 120.
    assert found.remaining_s == pytest.approx(100 + 131)
    assert found.expected_s == pytest.approx(120)
    assert found.elapsed_s == pytest.approx(20)
    assert found.worked_s == pytest.approx(500 + 20 + 110 + 130 + 13)
    assert found.running.name == "verify"
    added = [Amendment(1, NOW, 2, None, "me")]
    assert pace(_campaign("running"), steps, added, NOW).remaining_s == pytest.approx(100 + 3 * 131)
    # One that rests has all of its open step to come; one that was stopped has no end.
    paused = pace(_campaign("paused"), steps, now=NOW)
    assert (paused.running, paused.remaining_s) == (None, pytest.approx(120 + 131))
    assert pace(_campaign("stopped"), steps, now=NOW).remaining_s is None
    assert pace(_campaign("done"), steps, now=NOW).remaining_s == 0


def test_a_changed_budget_counts_from_its_first_round_on():
    config = {"rounds": 3, "oracle": {"kind": "xtb"}, "selection": {"budget": 12}}
    added = [Amendment(1, NOW, 2, 20, "me", first_round=4)]
    assert planned_calls(config, []) == 36
    assert planned_calls(config, added) == 36 + 2 * 20
    during = [Amendment(1, NOW, None, 20, "me", first_round=2)]
    assert planned_calls(config, during) == 12 + 2 * 20
    again = [*during, Amendment(2, NOW, None, 8, "me", first_round=2)]
    assert planned_calls(config, again) == 12 + 2 * 8
    # Of several stages the last one's calls are what is verified.
    staged = config | {"oracle": {"kind": "xtb", "then": [{"kind": "ase", "budget": 4}]}}
    assert planned_calls(staged, added) == 5 * 4
    second = [Amendment(1, NOW, None, 3, "me", stage=2, first_round=2)]
    assert planned_calls(staged, second) == 4 + 2 * 3
    assert planned_calls(config | {"oracle": {"kind": "none"}}, added) == 0


def test_before_the_first_round_nothing_is_promised():
    found = pace(_campaign("running"), [], now=NOW)
    assert (found.round, found.rounds, found.remaining_s) == (0, 4, None)
    late = [_step(0, "prepare", "running", None, NOW - timedelta(seconds=5))]
    assert pace(_campaign("running"), late, now=NOW).remaining_s is None


def test_errors_have_the_unit_that_their_targets_share():
    own = {"moment": Property("moment", "µB", "moment")}
    gap, moment = Target(property="homo_lumo_gap", max=1.0), Target(property="moment", max=2.0)
    cost = Target(property="formation_energy_per_site", max=1.0)
    assert error_unit([gap, cost], own) == "eV"
    assert error_unit([moment], own) == "µB"
    assert error_unit([gap, moment], own) == ""
    assert (in_unit(0.5, "eV"), in_unit(0.5, "")) == ("0.500 eV", "0.500")
