"""``design-loop ledger upgrade``, and what other commands say of an older ledger."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

OLD = Path(__file__).parents[1] / "ledger" / "old" / "ledger_0001_sqlite.sql"


@pytest.fixture
def old(tmp_path):
    """A work folder whose ledger an older version wrote."""
    with sqlite3.connect(tmp_path / "ledger.sqlite") as shell:
        shell.executescript(OLD.read_text())
    return tmp_path


def run(*words):
    command = [sys.executable, "-m", "design_loop.cli", *map(str, words)]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_reading_refuses_an_older_ledger_and_names_the_command(old):
    shown = run("campaign", "list", "--workdir", old)
    assert shown.returncode == 1 and "Traceback" not in shown.stderr
    assert "its layout is 0001" in shown.stderr and "`design-loop ledger upgrade`" in shown.stderr
    with sqlite3.connect(old / "ledger.sqlite") as shell:
        assert shell.execute("SELECT version_num FROM ledger_version").fetchall() == [("0001",)]
    assert not list(old.glob("*.bak"))


def test_upgrade_keeps_a_copy_and_then_everything_reads(old):
    done = run("ledger", "upgrade", "--workdir", old)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
    (copy,) = old.glob("ledger.sqlite.0001-*.bak")
    assert f"kept as {copy.name}" in done.stderr
    listed = run("campaign", "list", "--workdir", old, "--format", "json")
    assert '"id": "mos2-gap-20261121-' in listed.stdout
    again = run("ledger", "upgrade", "--workdir", old)
    assert again.returncode == 0 and again.stderr == ""
