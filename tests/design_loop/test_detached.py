"""Starting a driver in a process of its own."""

from __future__ import annotations

import subprocess
import time

import pytest

from design_loop.detached import drivers, launch
from design_loop.ledger import Ledger


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
    end = time.monotonic() + 60
    while drivers(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    said = (tmp_path / "c1" / "logs" / "driver.log").read_text()
    assert "driver, process" in said
    assert "c1: no such campaign in" in said and "other.sqlite" in said
