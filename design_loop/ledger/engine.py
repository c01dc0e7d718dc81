"""Addresses of ledgers and the engines that connect to them."""

from __future__ import annotations

from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from design_loop.ledger.errors import LedgerError


def is_sqlite(url: URL) -> bool:
    """Whether the ledger is a file."""
    return url.get_backend_name() == "sqlite"


def read_address(target: str | Path) -> URL:
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
    if is_sqlite(url):
        if url.database in (None, "", ":memory:"):
            raise LedgerError("a ledger in memory would be lost with its process; name a file")
        url = url.set(database=str(Path(url.database).absolute()))
    elif url.get_backend_name() != "postgresql":
        raise LedgerError(
            f"{url.get_backend_name()}: the ledger lives in SQLite (a file name) or PostgreSQL "
            "(postgresql://...)"
        )
    return url


def prepare_file(url: URL, create: bool) -> None:
    """Make the folder of an SQLite ledger; raise `LedgerError` where there can be none."""
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


def make_engine(url: URL, busy_timeout_s: float, where: str) -> Engine:
    """Return an engine whose SQLite transactions take their lock when they begin."""
    # Values that JSON does not know (NaN, infinity) are refused here, not found by a reader later.
    options: dict[str, Any] = {"json_serializer": partial(dumps, allow_nan=False)}
    if is_sqlite(url):
        options["connect_args"] = {"timeout": busy_timeout_s}
    else:
        options["pool_pre_ping"] = True
    try:
        engine = create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise LedgerError(
            f"{where}: the driver of this database is not installed. Install design-loop[postgres]."
        ) from error
    if is_sqlite(url):
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
        "recursive_triggers = ON",  # the guards also see what REPLACE would take off
    ):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("ledger_rebuild", False):
        # Has no effect inside a transaction. Connections of a rebuild are not used again.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    # A write takes its lock at once: a read that wants to become a write could be refused halfway.
    write = options.get("ledger_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
