"""The connection to the ledger's database: SQLite by default, PostgreSQL by address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from design_loop.ledger.engine import is_sqlite, make_engine, prepare_file, read_address
from design_loop.ledger.errors import LedgerError, explain
from design_loop.ledger.guards import install_guards
from design_loop.ledger.migrations import head, revisions
from design_loop.ledger.tables import ledger_version, metadata

BUSY_TIMEOUT_S = 30.0
# One process at a time creates tables; any number serves that nobody else in the database uses.
_CREATION_LOCK = 0x6C656467


class Database:
    """Transactions on a ledger's database, its errors put into words.

    Parameters
    ----------
    target
        File of an SQLite database, or a URL that SQLAlchemy understands
        (``postgresql://user@host/name``).
    create
        Create the file and the tables where they are missing.
    upgrade
        Bring a ledger of an older version up to date (`design_loop.ledger.upgrade`); without it
        such a ledger is refused.
    busy_timeout_s
        How long to wait for another process's write to SQLite, in seconds.

    Raises
    ------
    LedgerError
        The database cannot be opened, is not a ledger, or is of a newer version.
    """

    def __init__(
        self,
        target: str | Path,
        *,
        create: bool = True,
        upgrade: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        url = read_address(target)
        self.where = str(url.database) if is_sqlite(url) else url.render_as_string()
        if is_sqlite(url):
            prepare_file(url, create)
        self._engine = make_engine(url, busy_timeout_s, self.where)
        try:
            self._initialise(create, upgrade)
        except LedgerError:
            self._engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection whose reads all see one state of the ledger."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise explain(error, self.where) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection inside a transaction that commits at the end or leaves no trace."""
        try:
            with self._engine.connect() as connection:
                connection = connection.execution_options(ledger_write=True)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise explain(error, self.where) from error

    @contextmanager
    def rebuild(self) -> Iterator[Connection]:
        """Give a write on which tables may be rebuilt: SQLite checks foreign keys only at its end.

        Raises
        ------
        LedgerError
            Rows point to rows that are not there; nothing is written.
        """
        try:
            with self._engine.connect() as connection:
                connection = connection.execution_options(ledger_write=True, ledger_rebuild=True)
                with connection.begin():
                    yield connection
                    if self.file is not None:
                        _refuse_dangling(connection, self.where)
        except SQLAlchemyError as error:
            raise explain(error, self.where) from error
        finally:
            # Connections that were open keep what they know of the old tables.
            self._engine.dispose()

    @property
    def file(self) -> Path | None:
        """The file of an SQLite ledger."""
        return Path(str(self._engine.url.database)) if is_sqlite(self._engine.url) else None

    def revision(self, connection: Connection) -> str | None:
        """Return the revision of the ledger's layout; None where there is no ledger.

        Raises
        ------
        LedgerError
            The tables are another program's, or of a revision that this one does not know.
        """
        present = set(inspect(connection).get_table_names())
        if ledger_version.name in present:
            found = connection.execute(ledger_version.select()).scalars().all()
            if len(found) == 1 and found[0] in revisions():
                return found[0]
            raise LedgerError(
                f"{self.where}: its layout is {', '.join(found) or 'unknown'}, newer than this "
                f"version of design-loop, which knows {head()}. Use the version that wrote it, or "
                "a newer one."
            )
        # A PostgreSQL database may be shared with other programs, a file may not.
        foreign = present if self.file is not None else present & set(metadata.tables)
        if foreign:
            raise LedgerError(
                f"{self.where}: holds tables ({', '.join(sorted(foreign)[:3])}) but no ledger "
                "of design-loop. Name another file or database."
            )
        return None

    def close(self) -> None:
        """Close all connections; SQLite folds its write-ahead log into the file."""
        self._engine.dispose()

    def _initialise(self, create: bool, upgrade: bool) -> None:
        with self.read() as connection:
            found = self.revision(connection)
        if found == head():
            return
        if found is None:
            self._create(create)
        elif upgrade:
            from design_loop.ledger.upgrade import upgrade_database

            upgrade_database(self)
        else:
            raise LedgerError(
                f"{self.where}: its layout is {found}, this version of design-loop works with "
                f"{head()}. Bring it up to date with `design-loop ledger upgrade` (and the same "
                "--workdir or --store); a resume does it by itself."
            )

    def _create(self, create: bool) -> None:
        if not create:
            raise LedgerError(
                f"{self.where}: no ledger here yet. `design-loop campaign run FILE.yaml` makes "
                "one; or name the right one with --store."
            )
        with self.write() as connection:
            lock_layout(connection)
            # Another process may have made it while this one waited for its turn.
            if self.revision(connection) is None:
                metadata.create_all(connection)
                install_guards(connection)
                connection.execute(ledger_version.insert(), {"version_num": head()})


def lock_layout(connection: Connection) -> None:
    """Let one process at a time create or change tables; the end of the transaction frees it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATION_LOCK})


def insert_missing(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there; True if it was inserted."""
    statement: postgresql.Insert | sqlite.Insert
    if connection.dialect.name == "postgresql":
        statement = postgresql.insert(table).values(dict(row)).on_conflict_do_nothing()
    else:
        statement = sqlite.insert(table).values(dict(row)).on_conflict_do_nothing()
    # Row counts of inserts are not portable; what was inserted comes back.
    key = next(iter(table.primary_key))
    return connection.execute(statement.returning(key)).first() is not None


def _refuse_dangling(connection: Connection, where: str) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise LedgerError(
            f"{where}: {len(broken)} rows point to rows that are not there (the first in table "
            f"{broken[0][0]}); nothing was written. `design-loop campaign doctor` says more."
        )
