"""Drivers killed at random moments: the short version of benchmarks/chaos.py."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_killed_at_random_moments_a_campaign_ends_as_if_nothing_had_happened(root, tmp_path):
    command = [sys.executable, root / "benchmarks" / "chaos.py"]
    options = ["--kills", "8", "--seed", "3", "--format", "json", "--keep", tmp_path]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads(done.stdout)["rows"]
    assert row["kills"] == 8
    assert row["labels"] == 8 * row["campaigns"]
    assert row["lost"] == row["computed again though kept"] == row["more redone than killed"] == 0
    assert row["differing"] == []
