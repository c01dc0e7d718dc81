"""Ledgers of older versions: brought up to date with everything in them, or refused."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import bindparam, create_engine, inspect, select, text

from design_loop.ledger import CampaignState, Ledger, LedgerError, Source, migrations
from design_loop.ledger.database import Database
from design_loop.ledger.engine import make_engine, read_address
from design_loop.ledger.guards import UPDATE_GUARDS, install_guards, remove_guards
from design_loop.ledger.tables import amendments, metadata, steps

OLD = Path(__file__).parent / "old"
#: Rebuilds a table that others point to, and fills a new column of finished rows.
NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", "{last}"


def upgrade():
    with op.batch_alter_table("candidates") as batch:
        batch.add_column(sa.Column("remark", sa.Text(), nullable=False, server_default="none"))
    op.execute("UPDATE labels SET seconds = 7.5")
    {more}
"""


def restore(target: str, revision: str = "0001") -> None:
    """Put a ledger that an older version wrote where `target` points."""
    if "://" not in target:
        with sqlite3.connect(target) as shell:
            shell.executescript((OLD / f"ledger_{revision}_sqlite.sql").read_text())
        shell.close()
        return
    engine = create_engine(target)
    with engine.begin() as connection:
        script = (OLD / f"ledger_{revision}_postgresql.sql").read_text()
        connection.connection.cursor().execute(script)
    engine.dispose()


@pytest.fixture
def next_revision(tmp_path, monkeypatch):
    """The program of a future version, which has one more revision."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, folder)

    def write(more: str = "pass") -> None:
        script = NEXT.format(last=migrations.head(), more=more)
        (folder / "versions" / "r9999_next.py").write_text(script)
        monkeypatch.setattr(migrations, "FOLDER", folder)

    return write


def layout(target: str) -> dict:
    """Tables, columns, keys and triggers of a ledger."""
    engine = create_engine(read_address(target))
    with engine.connect() as connection:
        found = inspect(connection)
        tables = {
            name: (
                {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(name)},
                sorted(found.get_pk_constraint(name)["constrained_columns"]),
                sorted((k["name"], k["referred_table"]) for k in found.get_foreign_keys(name)),
                sorted((i["name"], i["column_names"]) for i in found.get_indexes(name)),
            )
            for name in found.get_table_names()
        }
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if engine.dialect.name == "postgresql":
            query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND pg_table_is_visible(tgrelid)"  # fmt: skip  # noqa: E501
        triggers = set(connection.execute(text(query)).scalars())
    engine.dispose()
    return {"tables": tables, "triggers": triggers}


def test_revisions_are_one_chain_numbered_as_their_files_are():
    from alembic.script import ScriptDirectory

    chain = [s.revision for s in ScriptDirectory(str(migrations.FOLDER)).walk_revisions()]
    assert tuple(reversed(chain)) == migrations.revisions()
    assert chain[0] == migrations.head()
    assert len(set(chain)) == len(chain)


def test_migrations_end_at_the_tables_of_the_program(target):
    """A revision that was forgotten shows here: the differences are what it has to say."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    url = read_address(target)
    engine = make_engine(url, 1.0, "here")
    with engine.begin() as connection:
        migrations.migrate(connection)
        options = {"version_table": migrations.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        install_guards(connection)
    engine.dispose()
    migrated = layout(target)
    assert len(migrated["triggers"]) > len(UPDATE_GUARDS)
    with Ledger(target) as ledger:  # it is taken for what it is
        assert ledger.campaigns() == []


def test_a_new_ledger_is_like_one_that_was_migrated(tmp_path):
    """Compared on SQLite to the last index and trigger."""
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    restore(str(old))
    Ledger(old, upgrade=True).close()
    Ledger(new).close()
    assert layout(str(old)) == layout(str(new))


def test_an_old_ledger_keeps_everything(target):
    restore(target)
    with Ledger(target, upgrade=True) as ledger:
        (campaign,) = ledger.campaigns()
        assert campaign.state is CampaignState.RUNNING
        (label,) = ledger.labels(campaign.id, Source.ORACLE)
        assert (label.candidate, label.properties, label.seconds) == ("k0", {"gap": 1.25}, 6.5)
        assert ledger.get_oracle_result("call-0") == {"gap": 1.25}
        assert ledger.funnel(campaign.id).drops == {"empty": 1}
        assert [e.message for e in ledger.events(campaign.id)] == ["something happened"]
        assert [s.name for s in ledger.steps(campaign.id, 1) if s.state == "done"][-1] == "learn"
        # And it can be worked with.
        ledger.finish_round(campaign.id, 1)
        ledger.start_round(campaign.id, 2, adapter="r001-aa", surrogate="s0")
        with pytest.raises(LedgerError, match="never change"), ledger._database.write() as c:
            c.execute(text("UPDATE labels SET seconds = 0"))


def test_budgets_changed_before_stages_had_their_own_are_the_first_ones(target):
    restore(target)
    engine = make_engine(read_address(target), 1.0, "here")
    where, hour = (steps.c.name == "select", steps.c.round == 1), timedelta(hours=1)
    with engine.begin() as connection:
        remove_guards(connection)
        migrations.migrate(connection, "0007")
        [(campaign, begun)] = connection.execute(
            select(steps.c.campaign, steps.c.started).where(*where)
        ).all()
        insert = text(
            'INSERT INTO amendments (campaign, number, "time", budget, rounds, "by") '
            "VALUES (:campaign, :number, :time, :budget, :rounds, 'anna')"
        ).bindparams(bindparam("time", type_=amendments.c.time.type))
        for number, (time, budget, rounds) in enumerate(
            ((begun - hour, 5, None), (begun + hour, 6, None), (begun + hour, None, 2)), start=1
        ):
            row = {"campaign": campaign, "number": number, "time": time}
            connection.execute(insert, row | {"budget": budget, "rounds": rounds})
    engine.dispose()
    with Ledger(target, upgrade=True) as ledger:
        assert [
            (a.budget, a.rounds, a.stage, a.first_round) for a in ledger.amendments(campaign)
        ] == [(5, None, 1, 1), (6, None, 1, 2), (None, 2, 1, 1)]


def test_an_upgrade_rebuilds_tables_under_their_guards(target, next_revision, caplog):
    restore(target)
    Ledger(target, upgrade=True).close()
    before = layout(target)["triggers"]
    now = migrations.head()
    next_revision()
    caplog.clear()
    Ledger(target, upgrade=True).close()
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"from layout {now} to 9999" in line
    assert layout(target)["triggers"] == before
    with Ledger(target) as ledger:
        with ledger._database.read() as c:
            assert set(c.execute(text("SELECT remark FROM candidates")).scalars()) == {"none"}
        (campaign,) = ledger.campaigns()
        (label,) = ledger.labels(campaign.id)
        assert label.seconds == 7.5
        for change in ("UPDATE candidates SET remark = 'x'", "DELETE FROM labels"):
            with pytest.raises(LedgerError, match="never change"), ledger._database.write() as c:
                c.execute(text(change))
        # Foreign keys are watched again.
        with pytest.raises(LedgerError, match="contradicts"):
            ledger.event("nobody", "hello")


def test_the_copy_beside_is_the_old_ledger(tmp_path, next_revision, caplog):
    file = tmp_path / "ledger.sqlite"
    restore(str(file))
    with sqlite3.connect(file) as shell:
        shell.execute("PRAGMA journal_mode = WAL")
        shell.execute("INSERT INTO events (campaign, time, level, message) SELECT id, created, 'info', 'late' FROM campaigns")  # fmt: skip  # noqa: E501
    next_revision()
    Ledger(file, upgrade=True).close()
    (copy,) = tmp_path.glob("*.bak")
    assert f"kept as {copy.name}" in caplog.text
    with sqlite3.connect(copy) as shell:
        assert shell.execute("SELECT version_num FROM ledger_version").fetchall() == [("0001",)]
        assert shell.execute("SELECT message FROM events ORDER BY id").fetchall()[-1] == ("late",)
        assert shell.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not list(tmp_path.glob("*.part"))
    Ledger(file, upgrade=True).close()
    assert len(list(tmp_path.glob("*.bak"))) == 1, "an up-to-date ledger is not copied"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("raise RuntimeError('half done')", RuntimeError),
        ("op.execute('DELETE FROM rounds WHERE number = 1')", LedgerError),
    ],
)
def test_a_failed_upgrade_leaves_the_old_ledger(target, next_revision, more, error):
    restore(target)
    Ledger(target, upgrade=True).close()
    before, now = layout(target), migrations.head()
    next_revision(more)
    with pytest.raises(error):
        Ledger(target, upgrade=True)
    assert layout(target) == before
    with pytest.raises(LedgerError, match=rf"layout is {now}.*works with 9999.*ledger upgrade"):
        Ledger(target)


def test_no_upgrade_under_a_running_driver(target, next_revision):
    with Ledger(target) as old:
        from ledger_examples import FakeConfig

        campaign = old.create_campaign(FakeConfig(), "w")
        with old.lease(campaign):
            next_revision()
            way = rf"{campaign} is running\. .*Ctrl-C .*`kill {os.getpid()}` on .*resume"
            with pytest.raises(LedgerError, match=way):
                Ledger(target, upgrade=True)
            with old._database.write() as c:
                past = datetime.now(UTC) - timedelta(seconds=1)
                c.execute(text("UPDATE leases SET expires = :t"), {"t": past})
            Ledger(target, upgrade=True).close()


def test_processes_that_upgrade_together_do_it_once(tmp_path, next_revision):
    from concurrent.futures import ThreadPoolExecutor

    file = tmp_path / "ledger.sqlite"
    restore(str(file))
    next_revision()
    with ThreadPoolExecutor(4) as pool:
        databases = list(pool.map(lambda _: Database(file, upgrade=True), range(4)))
    for database in databases:
        database.close()
    assert len(list(tmp_path.glob("ledger.sqlite*.bak"))) == 1


def test_a_newer_ledger_is_refused_unchanged(tmp_path):
    file = tmp_path / "ledger.sqlite"
    Ledger(file).close()
    with sqlite3.connect(file) as shell:
        shell.execute("UPDATE ledger_version SET version_num = '9999'")
    before = file.read_bytes()
    for upgrade in (False, True):
        with pytest.raises(LedgerError, match=r"9999, newer than this version.*Use the version"):
            Ledger(file, upgrade=upgrade)
    assert file.read_bytes() == before
    assert not list(tmp_path.glob("*.bak"))
