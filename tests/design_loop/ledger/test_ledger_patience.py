"""A computed label waits for a ledger that cannot be written just now."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from ledger_examples import FakeConfig, prepare, run_until_selected
from sqlalchemy import event, text

from design_loop.ledger import Ledger, LedgerUnavailableError
from design_loop.ledger import durable as durable_writes


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ledger.sqlite"


def selected(ledger):
    campaign = ledger.create_campaign(FakeConfig(), "w")
    prepare(ledger, campaign)
    run_until_selected(ledger, campaign, {"k0": "call-0"})
    return campaign


def test_a_lock_that_goes_away_costs_nothing(file, caplog):
    with Ledger(file, busy_timeout_s=0.05, patience_s=60) as ledger:
        campaign = selected(ledger)
        shell = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        shell.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.7, shell.execute, ["ROLLBACK"])
        timer.start()
        assert ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})
        timer.join()
        shell.close()
        assert "kept the ledger locked" in caplog.text and "Trying again for" in caplog.text
        assert len(ledger.labels(campaign)) == 1


def test_a_full_disk_that_is_emptied_costs_nothing(file, monkeypatch):
    """SQLite reports a page limit with the very error of a full disk."""
    with Ledger(file, patience_s=60) as ledger:
        campaign = selected(ledger)
        full = [True]

        def limit(connection, _record, _proxy):
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages if full[0] else 10**6}")

        event.listen(ledger._database._engine, "checkout", limit)
        pauses = []

        def free_some_space(seconds):
            pauses.append(seconds)
            full[0] = len(pauses) < 3

        monkeypatch.setattr(durable_writes.time, "sleep", free_some_space)
        with ledger.step(campaign, 1, "verify") as step:
            step.info["remarks"] = "x" * 100_000
        assert len(pauses) == 3 and pauses == sorted(pauses)
        assert ledger.steps(campaign, 1)[4].state == "done"
        with ledger._database.read() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


def test_patience_ends(file, monkeypatch):
    monkeypatch.setattr(durable_writes.time, "sleep", lambda _: None)
    with Ledger(file, busy_timeout_s=0.05, patience_s=0.2) as ledger:
        campaign = selected(ledger)
        shell = sqlite3.connect(file, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailableError, match="locked"):
            ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})
        shell.execute("ROLLBACK")
        shell.close()
