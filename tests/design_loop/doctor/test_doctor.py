"""Everything that the doctor can find is made, found, explained and, where it can be, mended."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from fake_campaign import FakeCampaign
from ledger_examples import FakeConfig, prepare, run_until_selected
from typer.testing import CliRunner

from design_loop.cli import app
from design_loop.doctor import Severity, examine, folder_checks
from design_loop.ledger import (
    Adapter,
    CampaignState,
    LeaseHeldError,
    Ledger,
    StepState,
    Surrogate,
)
from training.manifest import publish_adapter, unfinished_adapter

DIE = """
import os, signal, sys
from design_loop.ledger import Ledger
ledger = Ledger(sys.argv[1])
with ledger.lease(sys.argv[2], ttl_s=600), ledger.step(sys.argv[2], 1, "verify"):
    ledger.claim_calls(sys.argv[2], ["call-0"])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def campaign(ledger, tmp_path):
    """A campaign that has selected two candidates, with a real adapter in its folder."""
    name = ledger.create_campaign(FakeConfig(), tmp_path)
    root = tmp_path / name / "adapters"
    root.mkdir(parents=True)
    (tmp_path / name / "surrogates").mkdir()
    with unfinished_adapter(root) as work:
        (work / "adapter_model.safetensors").write_text("weights")
        (work / "adapter_config.json").write_text("{}")
        made = publish_adapter(work, root, "r001", {})
    ledger.start_round(name, 0)
    with ledger.step(name, 0, "prepare") as step:
        step.add_adapter(Adapter(made.name, str(made.path), made.manifest))
    ledger.finish_round(name, 0)
    ledger.start_round(name, 1, adapter=made.name)
    for step in ("generate", "check"):
        with ledger.step(name, 1, step):
            pass
    return name


@pytest.fixture
def selected(ledger, tmp_path):
    """A campaign with oracle calls to make, without files."""
    name = ledger.create_campaign(FakeConfig(), tmp_path)
    (tmp_path / name).mkdir()
    prepare(ledger, name)
    run_until_selected(ledger, name, {"k0": "call-0", "k1": "call-1"})
    return name


def found(ledger, campaign, check, **options):
    diagnosis = examine(ledger, campaign, **options)
    return [f for f in diagnosis.findings if f.check == check]


def die(ledger, campaign):
    """A driver killed while it computes."""
    done = subprocess.run([sys.executable, "-c", DIE, ledger.where, campaign], timeout=60)
    assert done.returncode == -9


def test_a_sound_campaign_has_nothing_to_mend(ledger, campaign, monkeypatch):
    monkeypatch.setattr(folder_checks, "_LITTLE", 0)
    diagnosis = examine(ledger, campaign)
    assert diagnosis.findings == () and diagnosis.healthy
    assert diagnosis.summary == "created; 0 rounds done; next: round 1, predict"


def test_a_dead_driver_leaves_lease_claims_and_a_step_that_are_mended(ledger, selected):
    ledger.set_campaign_state(selected, CampaignState.RUNNING)
    die(ledger, selected)
    (lease,), (claims,) = found(ledger, selected, "lease"), found(ledger, selected, "claims")
    assert "is dead" in lease.what and "1 oracle calls" in claims.what
    (step,) = found(ledger, selected, "steps")
    assert "round 1, verify" in step.what and "campaign resume" in step.advice

    diagnosis = examine(ledger, selected, mend=True)
    assert {f.check for f in diagnosis.findings if f.mended} == {"lease", "steps"}
    assert ledger.lease_state(selected) is None and ledger.stale_claims(selected) == []
    record = ledger.campaign(selected)
    assert (record.state, record.error) == (CampaignState.STOPPED, "its driver died")
    assert ledger.steps(selected, 1)[4].state is StepState.PENDING
    assert not [f for f in examine(ledger, selected).findings if f.check in ("lease", "steps")]


def test_a_living_driver_is_left_alone(ledger, selected, tmp_path):
    (tmp_path / selected / "adapters" / ".unfinished-x").mkdir(parents=True)
    ledger.set_campaign_state(selected, CampaignState.RUNNING)
    with Ledger(ledger.where) as other, other.lease(selected):
        (lease,) = found(ledger, selected, "lease", mend=True)
        assert lease.severity is Severity.INFO and f"process {os.getpid()}" in lease.what
        assert not found(ledger, selected, "steps") and not found(ledger, selected, "files")
        for repair in (ledger.forget_lease, ledger.settle_after_death):
            with pytest.raises(LeaseHeldError, match="at work"):
                repair(selected)
    assert (tmp_path / selected / "adapters" / ".unfinished-x").is_dir()


def test_what_was_given_up_is_released_under_a_living_driver_and_nothing_else_is_done(
    ledger, selected, tmp_path
):
    (tmp_path / selected / "adapters" / ".unfinished-x").mkdir(parents=True)
    ledger.set_campaign_state(selected, CampaignState.RUNNING)
    ledger.record_failure(selected, 1, "k0", "call-0", "it broke", final=True, kind="Timeout")
    with Ledger(ledger.where) as driver, driver.lease(selected):
        assert [c.candidate for c in driver.pending_oracle(selected, 1)] == ["k1"]
        driver.claim_calls(selected, ["call-1"])
        command = ["campaign", "doctor", selected, "--store", ledger.where]
        shown = CliRunner().invoke(app, [*command, "--fix", "--retry-quarantined"])
        assert "1 oracle calls are tried anew by the step verify that runs" in shown.output
        assert "mended" not in shown.output
        # What the step verify asks before it ends: it goes on with the call.
        assert {c.candidate for c in driver.pending_oracle(selected, 1)} == {"k0", "k1"}
        assert set(driver.call_holders(["call-0", "call-1"])) == {"call-1"}
        assert driver.lease_state(selected).living
    assert ledger.campaign(selected).state is CampaignState.RUNNING
    assert (tmp_path / selected / "adapters" / ".unfinished-x").is_dir()


def test_ctrl_c_leaves_nothing_to_mend(ledger, selected):
    with pytest.raises(KeyboardInterrupt), ledger.lease(selected):
        ledger.set_campaign_state(selected, CampaignState.RUNNING)
        try:
            with ledger.step(selected, 1, "verify"):
                ledger.claim_calls(selected, ["call-0"])
                raise KeyboardInterrupt
        finally:
            ledger.set_campaign_state(selected, CampaignState.STOPPED, "stopped by the user")
    for check in ("lease", "claims", "steps"):
        assert not found(ledger, selected, check)
    assert ledger.steps(selected, 1)[4].state is StepState.PENDING


def test_what_was_given_up_in_a_done_campaign_needs_another_round(ledger, tmp_path):
    campaign = FakeCampaign(ledger, tmp_path).run()
    command = ["campaign", "doctor", campaign, "--store", ledger.where, "--retry-quarantined"]
    shown = CliRunner().invoke(app, command)
    advised = re.search(r"3 oracle calls are tried anew .*`design-loop (.*)`", shown.output)
    extended = CliRunner().invoke(app, shlex.split(advised[1]))
    assert extended.exit_code == 0, extended.output
    with Ledger(ledger.where) as again:
        assert [a.rounds for a in again.amendments(campaign)] == [1]


def test_a_failed_step_is_explained(ledger, selected):
    with pytest.raises(ValueError), ledger.step(selected, 1, "verify"):
        raise ValueError("no such pseudopotential")
    (step,) = found(ledger, selected, "steps")
    assert step.severity is Severity.ERROR and step.mend is None
    assert "verify failed in attempt 1: ValueError: no such pseudopotential" in step.what


def test_quarantined_calls_are_told_by_kind_and_released(ledger, selected, tmp_path):
    for key, kind in (("0", "Timeout"), ("1", "NotConvergedError")):
        ledger.record_failure(
            selected, 1, f"k{key}", f"call-{key}", "it broke", final=True, kind=kind, traceback="T"
        )
    timeout, other = sorted(
        found(ledger, selected, "oracle"), key=lambda f: "Timeout" not in f.what
    )
    assert "timeout_s may be too short" in timeout.advice and "k1: it broke" in other.what
    assert found(ledger, selected, "oracle", mend=True)[0].mended is False

    command = ["campaign", "doctor", selected, "--store", ledger.where, "--format", "json"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 1, shown.output
    told = json.loads(shown.output)
    assert [q["traceback"] for q in told["quarantined"]] == ["T", "T"]
    shown = CliRunner().invoke(app, [*command, "--retry-quarantined"])
    assert sorted(json.loads(shown.output)["released"]) == ["call-0", "call-1"]
    assert {c.tries for c in ledger.pending_oracle(selected, 1)} == {0}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: (path / "adapter_model.safetensors").write_text("other"), "was altered"),
        (lambda path: (path / "adapter_config.json").unlink(), "lacks adapter_config.json"),
        (lambda path: path.rename(path.with_name("gone")), "no adapter folder"),
    ],
)
def test_a_missing_or_altered_adapter_is_found(ledger, campaign, harm, said):
    harm(Path(ledger.adapters(campaign)[-1].path))
    (finding,) = found(ledger, campaign, "adapters", mend=True)
    assert said in finding.what and finding.severity is Severity.ERROR and not finding.mended
    assert f"`design-loop campaign fork {campaign} FILE.yaml`" in finding.advice
    # The loader's advice is for folders made by hand.
    assert "adapter train" not in finding.what and "train" not in finding.what.split(";")[-1]


def test_the_fork_that_is_advised_can_be_made(tmp_path, monkeypatch):
    """A finished campaign whose models are gone; its ledger is where no default would find it."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    file = tmp_path / "own.sqlite"
    with Ledger(file) as ledger:
        played = FakeCampaign(ledger, folder)
        campaign = played.run(1)
    (folder / campaign).mkdir()
    (folder / campaign / "campaign.yaml").write_text(played.config.to_yaml())
    command = ["campaign", "doctor", campaign, "--store", str(file)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 1
    advised = set(re.findall(r"`design-loop (campaign fork [^`]*)`", shown.output))
    [words] = map(shlex.split, advised)  # the same for adapter and surrogate
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    assert f"forked from {campaign}, 5 labels taken over" in made.output


def test_another_adapter_under_the_recorded_name_is_found(ledger, campaign, tmp_path):
    path = Path(ledger.adapters(campaign)[-1].path)
    with unfinished_adapter(tmp_path) as work:
        (work / "adapter_model.safetensors").write_text("sound, but another one")
        (work / "adapter_config.json").write_text("{}")
        other = publish_adapter(work, tmp_path, "r001", {})
    path.rename(path.with_name("kept"))
    Path(other.path).rename(path)
    (finding,) = found(ledger, campaign, "adapters")
    assert "holds another one than was recorded" in finding.what


def test_a_lost_surrogate_is_found(ledger, selected):
    (finding,) = found(ledger, selected, "surrogates")
    assert finding.what == "s0 of round 0: no surrogate folder surrogates/s0"


def test_a_call_that_an_import_gave_up_has_no_trace_to_look_at(ledger, selected):
    ledger.record_failure(
        selected, 1, "k0", "call-0", "gap is missing", final=True, kind="External"
    )
    (finding,) = found(ledger, selected, "oracle")
    assert "gap is missing" in finding.what and "trace" not in finding.advice
    assert "import-labels" in finding.advice and "--retry-quarantined" in finding.advice


def test_an_older_model_is_not_needed(ledger, campaign):
    with ledger.step(campaign, 1, "predict") as step:
        step.add_surrogate(Surrogate("s0", "nowhere", {}))
        step.add_surrogate(Surrogate("s1", "nowhere", {}))
    old, new = found(ledger, campaign, "surrogates")
    assert (old.severity, new.severity) == (Severity.WARNING, Severity.ERROR)


def test_leftovers_are_removed_and_strangers_kept(ledger, campaign, tmp_path):
    adapters = tmp_path / campaign / "adapters"
    for name in (".unfinished-abc", "mine"):
        (adapters / name).mkdir()
        (adapters / name / "file").write_text("x")
    leftover, stranger = found(ledger, campaign, "files", mend=True)
    assert leftover.mended and not (adapters / ".unfinished-abc").exists()
    assert stranger.severity is Severity.INFO and (adapters / "mine" / "file").exists()
    assert "mine is in no row" in stranger.what


def test_a_damaged_ledger_is_found(ledger, selected):
    with sqlite3.connect(ledger.where) as shell:  # foreign keys are off in a plain shell
        shell.execute(
            "INSERT INTO events (campaign, time, level, message) "
            "VALUES ('nobody', '2026-01-01 00:00:00', 'info', 'x')"
        )
    (finding,) = found(ledger, selected, "ledger")
    assert "1 rows point to rows that are not there (events -> campaigns)" in finding.what
    assert ".recover" in finding.advice


def test_a_damaged_index_is_found(ledger, selected):
    with sqlite3.connect(ledger.where) as shell:
        shell.execute("PRAGMA writable_schema = ON")
        shell.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '(campaign, round)', '(round, campaign)') "
            "WHERE name = 'ix_candidates_campaign_round'"
        )
    with Ledger(ledger.where) as again:
        findings = found(again, selected, "ledger")
    assert findings and all("ix_candidates_campaign_round" in f.what for f in findings)


def test_a_full_disk_is_told_before_it_is_full(ledger, campaign, monkeypatch):
    usage = namedtuple("usage", "total used free")
    for free, severity in ((2**29, Severity.ERROR), (3 * 2**30, Severity.WARNING)):
        monkeypatch.setattr(
            folder_checks.shutil, "disk_usage", lambda _, free=free: usage(2**40, 0, free)
        )
        (finding,) = found(ledger, campaign, "disk")
        assert finding.severity is severity and "GiB are free" in finding.what


def test_the_command_explains_and_mends(ledger, selected, monkeypatch):
    monkeypatch.setattr(folder_checks, "_LITTLE", 0)
    monkeypatch.setattr("design_loop.doctor.diagnosis.CHECKS", _ledger_checks())
    ledger.set_campaign_state(selected, CampaignState.RUNNING)
    die(ledger, selected)
    command = ["campaign", "doctor", selected[:12], "--store", ledger.where]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 1
    assert "warning: lease: " in shown.output and "`--fix` mends" in shown.output
    shown = CliRunner().invoke(app, [*command, "--fix"])
    assert shown.exit_code == 0, shown.output
    assert "mended: lease and claims deleted" in shown.output
    shown = CliRunner().invoke(app, command)
    assert "stopped (its driver died)" in shown.output and "nothing is left to do" in shown.output


def _ledger_checks():
    from design_loop.doctor import ledger_checks

    return (ledger_checks.check_lease, ledger_checks.check_steps)
