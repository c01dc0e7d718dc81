"""What goes wrong with a database is said so that the reader knows what to do."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from ledger_examples import FakeConfig, prepare, run_until_selected
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError, StatementError

from design_loop.ledger import Ledger, LedgerError, Sample, StepState
from design_loop.ledger.errors import explain
from design_loop.ledger.tables import leases


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "work" / "ledger.sqlite"


def test_a_full_disk_loses_nothing_and_says_what_to_do(file):
    """SQLite reports a page limit with the very error of a full disk."""
    with Ledger(file) as ledger:
        campaign = ledger.create_campaign(FakeConfig(), "w")
        prepare(ledger, campaign)
        with ledger._database.read() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()

        def fill_disk(connection, _record, _proxy):
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")

        event.listen(ledger._database._engine, "checkout", fill_disk)
        many = [Sample(i, {}, "x" * 1000, "stop", "a") for i in range(200)]
        with (
            pytest.raises(LedgerError, match=r"no space is left.*Free some space.*resume"),
            ledger.step(campaign, 1, "generate") as step,
        ):
            step.record_samples(many)

    with Ledger(file) as ledger:
        assert ledger.samples(campaign, 1) == []
        assert ledger.rounds(campaign)[0].state is StepState.DONE
        with ledger.step(campaign, 1, "generate") as step:
            step.record_samples(many)
        assert len(ledger.samples(campaign, 1)) == 200


def test_a_locked_ledger_is_named_and_nothing_is_lost(file):
    with Ledger(file, busy_timeout_s=0.1) as ledger:
        campaign = ledger.create_campaign(FakeConfig(), "w")
        prepare(ledger, campaign)
        run_until_selected(ledger, campaign, {"k0": "call-0"})
        shell = sqlite3.connect(file, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"kept the ledger locked.*Close what holds it"):
            ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})
        assert len(ledger.pending_oracle(campaign, 1)) == 1, "reading goes on"
        shell.execute("ROLLBACK")
        shell.close()
        assert ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})


def test_the_error_of_the_step_is_not_hidden_by_a_locked_ledger(file):
    with Ledger(file, busy_timeout_s=0.1) as ledger:
        campaign = ledger.create_campaign(FakeConfig(), "w")
        prepare(ledger, campaign)
        shell = sqlite3.connect(file, isolation_level=None)
        with pytest.raises(RuntimeError, match="engine"), ledger.step(campaign, 1, "generate"):
            shell.execute("BEGIN IMMEDIATE")
            raise RuntimeError("engine died")
        shell.close()
        assert ledger.steps(campaign, 1)[0].state is StepState.RUNNING
        with ledger.step(campaign, 1, "generate") as step:
            assert step.attempt == 2


def test_a_layout_of_another_version_is_refused_unchanged(file):
    Ledger(file).close()
    with sqlite3.connect(file) as shell:
        shell.execute("UPDATE ledger_version SET version_num = '0999'")
    before = file.read_bytes()
    with pytest.raises(LedgerError, match=r"0999.*newer than this version"):
        Ledger(file)
    assert file.read_bytes() == before


def test_a_file_of_another_program_is_refused_unchanged(file):
    file.parent.mkdir()
    with sqlite3.connect(file) as shell:
        shell.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(LedgerError, match=r"recipes.*no ledger of design-loop"):
        Ledger(file)
    with sqlite3.connect(file) as shell:
        assert shell.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


def test_a_text_file_is_refused(file):
    file.parent.mkdir()
    file.write_text("name: quickstart\n" * 100)
    with pytest.raises(LedgerError, match="not an SQLite database"):
        Ledger(file)


def test_a_missing_ledger_is_not_made_by_reading(file):
    with pytest.raises(LedgerError, match="no ledger here"):
        Ledger(file, create=False)
    assert not file.exists()


def test_a_ledger_can_be_opened_while_another_process_writes(file):
    Ledger(file).close()
    shell = sqlite3.connect(file, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with Ledger(file, create=False, busy_timeout_s=0.1) as ledger:
        assert ledger.campaigns() == []
    shell.close()


def test_processes_that_begin_together_make_one_ledger(file):
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Ledger(file), range(8)))
    for ledger in opened:
        ledger.create_campaign(FakeConfig(), "w")
    assert len(opened[0].campaigns()) == 8
    for ledger in opened:
        ledger.close()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="is a folder"):
        Ledger(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "work").write_text("")
    with pytest.raises(LedgerError, match="cannot be created"):
        Ledger(tmp_path / "work" / "ledger.sqlite")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mysql://host/db", "SQLite .* or PostgreSQL"),
        ("sqlite://", "in memory would be lost"),
        ("sqlite:///:memory:", "in memory would be lost"),
        ("postgresql://host:port:port/x", "address cannot be read"),
    ],
)
def test_an_address_of_no_use_is_refused(address, message):
    with pytest.raises(LedgerError, match=message):
        Ledger(address)


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(LedgerError, match=r"did not answer.*Check that the server runs") as error:
        Ledger("postgresql://user:secret@127.0.0.1:1/none?connect_timeout=2")
    assert "secret" not in str(error.value)


def test_sqlite_addresses_and_file_names_mean_the_same(file):
    with Ledger(file) as ledger:
        campaign = ledger.create_campaign(FakeConfig(), "w")
    with Ledger(f"sqlite:///{file}", create=False) as ledger:
        assert [c.id for c in ledger.campaigns()] == [campaign]


def test_a_time_without_a_zone_is_refused(file):
    old = leases.select().where(leases.c.expires > datetime(2026, 1, 1))
    with (
        Ledger(file) as ledger,
        pytest.raises(LedgerError, match="needs a zone"),
        ledger._database.read() as connection,
    ):
        connection.execute(old)


def test_an_unknown_error_is_passed_on_with_its_first_line():
    error = OperationalError("SELECT 1", {}, sqlite3.OperationalError("odd thing\nmore"))
    assert "the database refused: odd thing." in str(explain(error, "here"))
    error = StatementError("bad value", "SELECT 1", {}, ValueError("no JSON"))
    assert "here: " in str(explain(error, "here"))


def test_ctrl_c_at_the_end_of_a_step_undoes_nothing(file, monkeypatch):
    """What a step found and its mark stay together: pending and found would be found twice."""
    with Ledger(file) as ledger:
        campaign = ledger.create_campaign(FakeConfig(), "w")
        prepare(ledger, campaign)
        with pytest.raises(KeyboardInterrupt), ledger.step(campaign, 1, "generate") as step:
            raise KeyboardInterrupt
        assert ledger.steps(campaign, 1)[0].state is StepState.PENDING
        persist = ledger._persist

        def interrupted(name, action):
            made = persist(name, action)
            if getattr(action, "__name__", "") == "commit":
                raise KeyboardInterrupt
            return made

        monkeypatch.setattr(ledger, "_persist", interrupted)
        with pytest.raises(KeyboardInterrupt), ledger.step(campaign, 1, "generate") as step:
            step.record_samples([Sample(0, {}, "S1 0 0 VAC", "stop", "a")])
        assert ledger.steps(campaign, 1)[0].state is StepState.DONE
        assert len(ledger.samples(campaign, 1)) == 1
