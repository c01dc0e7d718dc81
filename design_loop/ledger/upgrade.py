"""Bring a ledger of an older version up to date, with a copy of it kept beside."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select

from design_loop.ledger.clock import database_time
from design_loop.ledger.database import Database, lock_layout
from design_loop.ledger.errors import LedgerError
from design_loop.ledger.guards import install_guards, remove_guards
from design_loop.ledger.lease import is_dead
from design_loop.ledger.migrations import head, migrate
from design_loop.ledger.tables import leases

log = logging.getLogger(__name__)


def upgrade_database(database: Database) -> None:
    """Upgrade to the newest revision in one transaction, or leave everything as it was.

    An SQLite file is copied to ``NAME.REVISION-TIME.bak`` first. A PostgreSQL database is not: its
    administrator has ``pg_dump``. One line in the log says what was done.

    Parameters
    ----------
    database
        A ledger; one that is up to date stays as it is.

    Raises
    ------
    LedgerError
        A campaign is being driven, by a program of the old version then; or the copy or the
        upgrade failed.
    """
    with database.rebuild() as connection:
        lock_layout(connection)
        found = database.revision(connection)
        if found is None or found == head():
            return  # another process was faster
        _refuse_drivers(connection, database.where)
        copy = None if database.file is None else _copy(database.file, found)
        remove_guards(connection)
        migrate(connection)
        install_guards(connection)
    kept = f"; the old one is kept as {copy.name}" if copy else ""
    log.warning("%s: brought from layout %s to %s%s", database.where, found, head(), kept)


def _refuse_drivers(connection: Connection, where: str) -> None:
    """A driver of the old version would go on writing into tables that it does not know."""
    c = leases.c
    statement = select(c.campaign, c.owner).where(c.expires > database_time(connection))
    for campaign, owner in connection.execute(statement):
        if not is_dead(owner):
            # `campaign stop` would have to write, too. A driver takes SIGTERM like Ctrl-C.
            raise LedgerError(
                f"{where}: has to be brought up to date, but {campaign} is running. End it with "
                f"Ctrl-C in its terminal, or with `kill {owner.get('pid')}` on "
                f"{owner.get('host')}; then resume it, nothing is lost."
            )


def _copy(file: Path, revision: str) -> Path:
    """Copy what is committed; the caller holds the write lock, so that nothing comes after."""
    copy = file.with_name(f"{file.name}.{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S}.bak")
    unfinished = copy.with_suffix(".part")
    try:
        with (
            closing(sqlite3.connect(file.as_uri() + "?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(unfinished)) as target,
        ):
            source.backup(target)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(copy)
    except (sqlite3.Error, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise LedgerError(
            f"{file}: no copy could be made before bringing it up to date ({error}). Free some "
            "space or check the folder's rights; the ledger was not touched."
        ) from error
    return copy
