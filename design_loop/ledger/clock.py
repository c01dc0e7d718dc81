"""The time by which leases run out: the database's, so that machines need not agree on theirs."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select


def database_time(connection: Connection) -> datetime:
    """Return the present time in UTC by the clock of the database.

    A PostgreSQL server has one clock for all its clients. SQLite has none: its file lies on the
    machine of its drivers, whose clock they share.
    """
    if connection.dialect.name == "postgresql":
        # Not now(): that is the beginning of the transaction, which may have waited for a lock.
        return connection.execute(select(func.clock_timestamp())).scalar_one().astimezone(UTC)
    return datetime.now(UTC)
