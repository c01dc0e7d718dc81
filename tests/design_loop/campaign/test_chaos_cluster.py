"""Oracle workers and a raylet killed within a campaign: the short version of a benchmark."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute of one core that nobody else uses
def test_killed_workers_and_raylets_cost_only_the_calls_in_flight(root, tmp_path):
    command = [sys.executable, root / "benchmarks" / "chaos_cluster.py"]
    options = [
        "--kinds",
        "oracle-worker+raylet=2",
        "--rounds",
        "1",
        "--budget",
        "6",
        "--call-s",
        "2",
    ]
    done = subprocess.run(
        [*command, *options, "--seed", "1", "--format", "json", "--keep", tmp_path / "c"],
        capture_output=True,
        text=True,
        timeout=880,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads(done.stdout)["rows"]
    assert row["kills"] == 2 * row["campaigns"] == 2, "a worker, then a raylet"
    assert row["labels"] == 6
    for harm in ("lost or changed", "twice in the ledger", "computed again though kept"):
        assert row[harm] == 0, harm
    assert row["more redone than in flight"] == row["drivers that hung"] == 0
    assert row["differing"] == {}
    # The driver saw that Ray had died and went on with a new one by itself.
    assert row["drivers that ended with an error"] == {}
    assert row["processes left over"] == 0
