"""Starting a driver in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import psutil
import pytest

from defects.errors import DesignLoopError
from design_loop.detached import drivers, launch
from design_loop.ledger import CampaignState, Ledger
from tests.design_loop.campaign.quick_services import write_campaign


def test_the_address_of_the_ledger_is_on_no_command_line(tmp_path, monkeypatch):
    seen = {}

    def run(command, *, env, **options):
        seen.update(command=command, env=env)
        return subprocess.CompletedProcess(command, 0, stdout="4711\n", stderr="")

    monkeypatch.setattr("design_loop.detached.subprocess.run", run)
    store = "postgresql://lab:hush@db/ledger"
    assert launch("c1", tmp_path, store, "created") == 4711
    assert "hush" not in " ".join(seen["command"])
    assert store in seen["env"].values()


@pytest.mark.slow
def test_a_driver_finds_the_ledger_that_it_is_started_for(tmp_path):
    store = str(tmp_path / "other.sqlite")
    Ledger(store).close()
    launch("c1", tmp_path, store, "created")
    end = time.monotonic() + 240
    while drivers(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    said = (tmp_path / "c1" / "logs" / "driver.log").read_text()
    assert "driver, process" in said
    assert "c1: no such campaign in" in said and "other.sqlite" in said


@pytest.mark.slow
@pytest.mark.timeout(900)  # a driver with a surrogate of its own, on a machine that may be busy
def test_a_detached_run_goes_on_without_its_command(tmp_path):
    """The command line, the process between and the driver are real; the oracle is a table."""
    path = write_campaign(tmp_path)
    text = (
        path.read_text()
        .replace("rounds: 2", "rounds: 1")
        .replace("iterations: 10", "iterations: 1")
    )
    path.write_text(text + "proposer: {kind: random}\n")
    work = tmp_path / "runs"
    command = [sys.executable, "-m", "design_loop.cli", "campaign", "run", str(path), "--detach"]
    done = subprocess.run(
        [*command, "--workdir", str(work)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    name, pid = re.match(r"(\S+) runs in the background \(process (\d+)\)", done.stdout).groups()
    assert f"campaign stop {name} --workdir {work}" in done.stdout
    driver = psutil.Process(int(pid))
    try:
        # The command has ended; its driver is nobody's child here, in a session of its own.
        assert drivers(work) == [name]
        assert driver not in psutil.Process().children(recursive=True)
        assert os.getsid(driver.pid) == driver.pid
        store = str(work / "ledger.sqlite")
        with pytest.raises(DesignLoopError, match="starting or at work already"):
            launch(name, work, store, "created")
        gone, _ = psutil.wait_procs([driver], timeout=600)
        assert gone, (work / name / "logs" / "driver.log").read_text()
    finally:
        if driver.is_running():
            driver.terminate()
    with Ledger(store, create=False) as ledger:
        assert ledger.campaign(name).state is CampaignState.DONE
        assert ledger.funnel(name).verified == 4
    assert drivers(work) == []
    assert list((work / name / "candidates").glob("*.cif"))
    assert f"campaign {name} done" in (work / name / "logs" / "driver.log").read_text()
