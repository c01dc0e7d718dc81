"""A driver in a process of its own, steered through the ledger; and what a fork knows."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from defects.errors import ConfigError
from design_loop import steering
from design_loop.forking import fork_campaign, with_targets
from design_loop.ledger import (
    Action,
    CampaignState,
    Ledger,
    LedgerError,
    Outcome,
    Source,
    StepState,
    TransitionError,
)
from tests.design_loop.campaign.steered_driver import drive, write_steered

SECONDS = 0.5  # per label; a driver looks for requests once a second
BUDGET = 4


@contextmanager
def _driver(folder: Path, action: str, seconds: float = SECONDS):
    command = [sys.executable, "-m", "tests.design_loop.campaign.steered_driver"]
    process = subprocess.Popen(
        [*command, str(folder), action, str(seconds)], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
        assert process.wait(240) == 0, process.stderr.read()[-2000:]
    finally:
        if process.poll() is None:
            process.kill()


def _until(condition, what: str, seconds: float = 240.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except LedgerError:
            pass  # not there yet
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def _labels(ledger, campaign, number):
    return ledger.labels(campaign, Source.ORACLE, number)


@pytest.fixture(scope="module")
def steered(tmp_path_factory):
    """Folder and id of a campaign that was paused, extended, resumed, stopped and finished."""
    folder = tmp_path_factory.mktemp("steered")
    write_steered(folder)
    store = folder / "runs" / "ledger.sqlite"
    with _driver(folder, "start"):
        _until(store.exists, "a ledger")
        ledger = Ledger(store)
        name = _until(lambda: [c.id for c in ledger.campaigns()], "a campaign")[0]
        _until(lambda: _labels(ledger, name, 1), "a label")
        answer = steering.halt(ledger, name, Action.PAUSE)
        assert (answer.state, answer.pending) == (CampaignState.RUNNING, Action.PAUSE)
        with pytest.raises(TransitionError, match="driver is at work"):
            ledger.check_resume(name)
    yield folder, name, ledger
    ledger.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paused_between_oracle_calls_extended_resumed_and_stopped(steered):
    folder, name, ledger = steered
    # Paused in the middle of the verification, with what was labelled by then.
    paused = ledger.campaign(name)
    assert (paused.state, paused.error) == (CampaignState.PAUSED, None)
    done = len(_labels(ledger, name, 1))
    assert 0 < done < BUDGET
    states = {s.name: s.state for s in ledger.steps(name, 1)}
    assert (states["select"], states["verify"]) == (StepState.DONE, StepState.PENDING)
    assert ledger.driver(name) is None

    # Extended while it is paused, and again while it runs; then stopped.
    steering.extend(ledger, name, 1, None, by="anna")
    assert ledger.campaign(name).state is CampaignState.PAUSED
    with _driver(folder, name):
        _until(lambda: ledger.driver(name), "a driver")
        answer = steering.extend(ledger, name, 1, 2, by="bert")
        assert "takes it up" in answer.text
        _until(lambda: _labels(ledger, name, 2), "a label of round 2")
        steering.halt(ledger, name, Action.STOP)
    assert ledger.campaign(name).state is CampaignState.STOPPED
    assert len(_labels(ledger, name, 1)) == BUDGET

    # To its end: one round of the file and two that were added, the last with the new budget.
    summary = drive(folder, name)
    assert summary.campaign.state is CampaignState.DONE
    assert [r.number for r in ledger.rounds(name)] == [0, 1, 2, 3]
    assert len(ledger.selections(name, 3)) == 2
    assert [(a.rounds, a.budget, a.by) for a in ledger.amendments(name)] == [
        (1, None, "anna"), (1, 2, "bert")
    ]  # fmt: skip
    assert ledger.campaign(name).config["rounds"] == 1
    assert [(r.action, r.outcome) for r in ledger.requests(name)] == [
        (Action.PAUSE, Outcome.DONE), (Action.STOP, Outcome.DONE)
    ]  # fmt: skip
    # Nothing labelled was computed twice, whatever came in between.
    computed = Counter((folder / "runs" / "oracle_calls.log").read_text().split())
    assert set(computed.values()) == {1}
    assert len(computed) == len(ledger.labels(name, Source.ORACLE))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fork_begins_with_its_parents_labels_and_models(steered):
    folder, name, ledger = steered
    if ledger.campaign(name).state is not CampaignState.DONE:
        drive(folder, name)
    before = (folder / "runs" / "oracle_calls.log").read_text().split()
    inherited = {x.candidate for x in ledger.labels(name, Source.ORACLE)}
    config = with_targets(steering.current_config(ledger, name), ["homo_lumo_gap=0.2..0.5"], "deep")
    config = config.model_copy(update={"rounds": 1})
    made = fork_campaign(ledger, name, config, folder / "runs", keep_models=True)
    assert made.labels == len(inherited)
    found = ledger.campaign(made.campaign)
    assert (found.state, found.name) == (CampaignState.CREATED, "deep")

    shutil.rmtree(folder / "surrogate")  # so that the next one is really fitted
    drive(folder, made.campaign)
    lineage = ledger.lineage(made.campaign)
    assert (lineage.parent, lineage.labels) == (name, len(inherited))
    [first, second] = ledger.surrogates(made.campaign)
    # The first surrogate is the parent's last one, in a folder of its own; the next knows all.
    assert first.version == lineage.surrogate == ledger.surrogates(name)[-1].version
    assert Path(first.path).is_relative_to(folder / "runs" / made.campaign)
    fresh = {x.candidate for x in ledger.labels(made.campaign, Source.ORACLE)}
    assert second.manifest["n_labels"] == 100 + len(inherited) + len(fresh)
    # What the parent labelled is known: it is no candidate again, and no call is repeated.
    assert fresh and not fresh & inherited
    assert not ledger.known_keys(made.campaign) & inherited
    after = (folder / "runs" / "oracle_calls.log").read_text().split()
    assert Counter(after).most_common(1)[0][1] == 1
    assert len(after) == len(before) + len(fresh)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fork_of_a_running_campaign_takes_what_is_there_and_disturbs_nobody(tmp_path):
    write_steered(tmp_path)
    store = tmp_path / "runs" / "ledger.sqlite"
    with _driver(tmp_path, "start", seconds=3.0):
        _until(store.exists, "a ledger")
        ledger = Ledger(store)
        parent = _until(lambda: [c.id for c in ledger.campaigns()], "a campaign")[0]
        _until(lambda: _labels(ledger, parent, 1), "a label")
        lease = ledger.lease_state(parent)
        config = with_targets(
            steering.current_config(ledger, parent), ["homo_lumo_gap=0.2..0.5"], "deep"
        )
        made = fork_campaign(ledger, parent, config, tmp_path / "runs", keep_models=True)
        taken = {x.candidate: dict(x.properties) for x in ledger.inherited(made.campaign)}
        assert 0 < made.labels == len(taken) < BUDGET
        assert ledger.lease_state(parent).owner == lease.owner
        assert ledger.campaign(parent).state is CampaignState.RUNNING
        # Run beside the parent, which still computes.
        assert drive(tmp_path, made.campaign).campaign.state is CampaignState.DONE
    with ledger:
        assert ledger.campaign(parent).state is CampaignState.DONE
        whole = {x.candidate: dict(x.properties) for x in _labels(ledger, parent, 1)}
        assert len(whole) == BUDGET
        # What the parent found out afterwards is its own; what was taken over was not touched.
        assert {key: whole[key] for key in taken} == taken
        inherited = {x.candidate for x in ledger.inherited(made.campaign)}
        assert inherited == set(taken)
        found = {x.candidate for x in _labels(ledger, made.campaign, 1)}
        assert len(found) == BUDGET
        assert not found & inherited
    computed = Counter((tmp_path / "runs" / "oracle_calls.log").read_text().split())
    assert set(computed.values()) == {1}
    assert set(computed) == set(whole) | found


@pytest.mark.slow
def test_forks_that_would_mix_what_does_not_belong_together(steered):
    folder, name, ledger = steered
    config = steering.current_config(ledger, name)
    content = config.model_dump(mode="json")
    other_host = type(config).model_validate(
        content | {"host": {"name": "MoS2", "supercell": "5x5"}}
    )
    other_oracle = type(config).model_validate(content | {"oracle": {"kind": "xtb"}})
    other_property = with_targets(config, ["formation_energy_per_site<=0.3"], None)
    for wrong, keep, part in (
        (other_host, False, "MoS2 5x5x1"),
        (other_oracle, False, "its oracle is another one"),
        (other_property, True, "does not predict formation_energy_per_site"),
    ):
        with pytest.raises(ConfigError, match=part):
            fork_campaign(ledger, name, wrong, folder / "runs", keep_models=keep)
    with pytest.raises(ConfigError, match="no labels of gapp"):
        with_targets(config, ["gapp=1"], None)
