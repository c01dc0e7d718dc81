"""The connection to the ledger's database: SQLite by default, PostgreSQL by address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from design_loop.ledger.errors import LedgerError, explain
from design_loop.ledger.guards import install_guards
from design_loop.ledger.tables import REVISION, ledger_version, metadata

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
    busy_timeout_s
        How long to wait for another process's write to SQLite, in seconds.

    Raises
    ------
    LedgerError
        The database cannot be opened, is not a ledger, or was made by another version.
    """

    def __init__(
        self, target: str | Path, *, create: bool = True, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        url = _url(target)
        self.where = str(url.database) if _is_sqlite(url) else url.render_as_string()
        if _is_sqlite(url):
            _prepare_file(url, create)
        self._engine = _engine(url, busy_timeout_s, self.where)
        try:
            self._initialise(create)
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

    def close(self) -> None:
        """Close all connections; SQLite folds its write-ahead log into the file."""
        self._engine.dispose()

    def _initialise(self, create: bool) -> None:
        with self.read() as connection:
            if self._is_ledger(connection):
                return
        if not create:
            raise LedgerError(
                f"{self.where}: no ledger here yet. `design-loop campaign run FILE.yaml` makes "
                "one; or name the right one with --store."
            )
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATION_LOCK}
                )
            # Another process may have made it while this one waited for its turn.
            if not self._is_ledger(connection):
                metadata.create_all(connection)
                install_guards(connection)
                connection.execute(ledger_version.insert(), {"version_num": REVISION})

    def _is_ledger(self, connection: Connection) -> bool:
        """Whether the tables are there; refuse those of another version or another program."""
        present = set(inspect(connection).get_table_names())
        if ledger_version.name in present:
            self._check_revision(connection)
            return True
        # A PostgreSQL database may be shared with other programs, a file may not.
        foreign = present if _is_sqlite(self._engine.url) else present & set(metadata.tables)
        if foreign:
            raise LedgerError(
                f"{self.where}: holds tables ({', '.join(sorted(foreign)[:3])}) but no ledger "
                "of design-loop. Name another file or database."
            )
        return False

    def _check_revision(self, connection: Connection) -> None:
        found = connection.execute(ledger_version.select()).scalars().all()
        if found != [REVISION]:
            raise LedgerError(
                f"{self.where}: its layout is {', '.join(found) or 'unknown'}, this version of "
                f"design-loop knows {REVISION}. Use the version that wrote it, or a newer one."
            )


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


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _url(target: str | Path) -> URL:
    """Read a file name or an address; raise `LedgerError` for what is neither."""
    if isinstance(target, Path) or "://" not in target:
        return URL.create("sqlite", database=str(Path(target).expanduser().absolute()))
    try:
        url = make_url(target)
    except (ArgumentError, ValueError) as error:
        raise LedgerError(
            "the store's address cannot be read; write a file name or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if _is_sqlite(url):
        if url.database in (None, "", ":memory:"):
            raise LedgerError("a ledger in memory would be lost with its process; name a file")
        url = url.set(database=str(Path(url.database).absolute()))
    elif url.get_backend_name() != "postgresql":
        raise LedgerError(
            f"{url.get_backend_name()}: the ledger lives in SQLite (a file name) or PostgreSQL "
            "(postgresql://...)"
        )
    return url


def _prepare_file(url: URL, create: bool) -> None:
    path = Path(str(url.database))
    if path.is_dir():
        raise LedgerError(f"{path}: is a folder; name the ledger's file in it")
    if not create and not path.exists():
        raise LedgerError(
            f"{path}: no ledger here. Check --workdir or --store; `design-loop campaign run "
            "FILE.yaml` makes one."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"{path.parent}: cannot be created ({error.strerror})") from error


def _engine(url: URL, busy_timeout_s: float, where: str) -> Engine:
    # Values that JSON does not know (NaN, infinity) are refused here, not found by a reader later.
    options: dict[str, Any] = {"json_serializer": partial(dumps, allow_nan=False)}
    if _is_sqlite(url):
        options["connect_args"] = {"timeout": busy_timeout_s}
    else:
        options["pool_pre_ping"] = True
    try:
        engine = create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise LedgerError(
            f"{where}: the driver of this database is not installed. Install design-loop[postgres]."
        ) from error
    if _is_sqlite(url):
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    # The module would begin transactions by itself, late and unlocked; `_on_sqlite_begin` does.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",  # readers and the one writer do not wait for each other
        "synchronous = FULL",  # a committed label survives a power cut
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Connection) -> None:
    # A write takes its lock at once: a read that wants to become a write could be refused halfway.
    write = connection.get_execution_options().get("ledger_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
