"""A comparison with real campaigns: equal budgets, going on, no language model."""

from __future__ import annotations

import csv
import functools
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from defects.errors import ConfigError, DesignLoopError
from design_loop.campaign.services import start_services
from design_loop.compare import run
from design_loop.compare.run import compare, drive_here, drive_in_child
from design_loop.config import load_campaign
from design_loop.ledger import CampaignState, Ledger
from tests.design_loop.campaign.quick_services import write_campaign


def _task(folder):
    path = write_campaign(folder)
    text = path.read_text().replace("rounds: 2", "rounds: 1").replace("samples: 40", "samples: 16")
    path.write_text(text.replace("distil: 30", "distil: 30, use_unverified: false"))
    return load_campaign(path)


@pytest.mark.slow
def test_arms_run_once_each_at_equal_budgets_without_a_language_model(tmp_path):
    task, out = _task(tmp_path), tmp_path / "out"
    begun = []
    heavy = {"vllm", "torch"}
    before = heavy & set(sys.modules)  # of tests that ran earlier in this process

    def services(config, folder, tell):
        begun.append(config.proposer.kind)
        return start_services(config, folder, tell)

    drive = functools.partial(drive_here, services=services)
    first = compare(task, ["random"], 1, out, drive=drive)
    assert begun == ["random"]
    assert heavy & set(sys.modules) == before
    arms = ["random", "genetic", "tpe", "nearest"]
    found = compare(task, arms, 1, out, drive=drive)
    assert begun == arms  # the first was not run again
    assert found[0] == first[0]
    assert [o.arm for o in found] == arms
    assert [o.proposals for o in found] == [16] * 4
    assert [o.samples for o in found] == [16] * 4
    assert [len(o.calls) for o in found] == [4] * 4
    assert all(c.new for o in found[:3] for c in o.calls)
    assert not any(c.new for c in found[3].calls)
    seconds = [c.seconds for c in found[0].calls]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] <= seconds[-1] < found[0].seconds
    assert len(list(csv.DictReader((out / "compare.csv").open()))) == 16
    assert (out / "compare.html").stat().st_size > 3000
    with Ledger(out / "ledger.sqlite", create=False) as ledger:
        for campaign in ledger.campaigns():
            assert ledger.adapters(campaign.id) == []
            assert campaign.state is CampaignState.DONE
    # Written by a version that knew fewer settings: the same task, and nothing is run again.
    kept = (out / "task.yaml").read_text()
    (out / "task.yaml").write_text(kept.replace("  min_labels: 50\n", ""))
    assert kept != (out / "task.yaml").read_text()
    assert compare(task, ["random"], 1, out, drive=begun.append)[0].calls == found[0].calls
    (out / "task.yaml").write_text(kept)
    # And its ledger, of an older layout, is brought up to date.
    with closing(sqlite3.connect(out / "ledger.sqlite")) as shell, shell:
        for column in ("stage", "first_round"):
            shell.execute(f"ALTER TABLE amendments DROP COLUMN {column}")
        shell.execute("UPDATE ledger_version SET version_num = '0007'")
    assert compare(task, ["random"], 1, out, drive=begun.append)[0].calls == found[0].calls
    (out / "task.yaml").write_text("rounds: [\n")
    with pytest.raises(ConfigError, match="no YAML any more"):
        compare(task, ["random"], 1, out)
    (out / "task.yaml").write_text(kept)
    other = _task(tmp_path).model_copy(update={"rounds": 3})
    with pytest.raises(ConfigError, match="another task"):
        compare(other, ["random"], 1, out)


@pytest.mark.slow
def test_a_campaign_whose_process_dies_is_gone_on_with(tmp_path, monkeypatch, capfd):
    task, out = _task(tmp_path), tmp_path / "out"
    real, children = subprocess.Popen, []

    def popen(command, **kwargs):
        child = real(command, **kwargs)
        children.append(command)
        if len(children) == 1:
            os.kill(child.pid, signal.SIGKILL)
        return child

    monkeypatch.setattr(run.subprocess, "Popen", popen)
    [outcome] = compare(task, ["random"], 1, out)
    assert len(children) == 2
    assert len(outcome.calls) == 4
    assert "random, seed 0: ended by signal 9; going on with it" in capfd.readouterr().err
    again = compare(task, ["random"], 1, out)
    assert again == [outcome]
    assert len(children) == 2


def test_a_campaign_that_stops_with_an_error_or_by_ctrl_c_ends_the_comparison(
    tmp_path, monkeypatch
):
    codes, real = [1], subprocess.Popen

    def popen(_command):
        return real([sys.executable, "-c", f"import os; os._exit({codes.pop()})"])

    monkeypatch.setattr(run.subprocess, "Popen", popen)
    with pytest.raises(DesignLoopError, match="tpe, seed 4: the campaign stopped"):
        drive_in_child(tmp_path, "tpe", 4)
    codes.append(130)
    with pytest.raises(KeyboardInterrupt):
        drive_in_child(tmp_path, "tpe", 4)


@pytest.mark.slow
@pytest.mark.timeout(600)  # five processes
@pytest.mark.parametrize("kind", ["genetic", "tpe"])
def test_a_search_that_is_killed_ends_as_one_that_was_not(tmp_path, kind):
    """Its state between rounds is in the ledger: kill -9 in a first step and among the labels."""
    ends = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        path = write_campaign(folder)
        text = path.read_text().replace("samples: 40", "samples: 16")
        path.write_text(text + f"proposer: {{kind: {kind}}}\n")
        command = [sys.executable, "-m", "tests.design_loop.campaign.quick_services", str(folder)]
        calls = [["start"]]
        if name == "killed":
            calls = [["start", "verify:1"], ["quick", "learn"], ["quick", "generate"], ["quick"]]
        for arguments in calls:
            done = subprocess.run([*command, *arguments], capture_output=True, text=True)
            expected = -signal.SIGKILL if len(arguments) > 1 else 0
            assert done.returncode == expected, done.stderr[-2000:]
        with Ledger(folder / "runs" / "ledger.sqlite", create=False) as ledger:
            [campaign] = ledger.campaigns()
            ends[name] = (
                [s.sample.text for n in (1, 2) for s in ledger.samples(campaign.id, n)],
                {v.candidate: dict(v.properties) for v in ledger.labels(campaign.id)},
                ledger.funnel(campaign.id),
            )
            assert campaign.state is CampaignState.DONE
    assert ends["killed"] == ends["whole"]
    assert len(ends["whole"][0]) == 32
