"""Empty ledgers on PostgreSQL: a schema each in the database that a variable names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import URL, make_url

ADDRESS = os.environ.get("DESIGN_LOOP_TEST_POSTGRES")

#: For tests that are made for SQLite and for this; without a database it is told as skipped.
POSTGRES = pytest.param(
    "postgresql",
    marks=pytest.mark.skipif(
        not ADDRESS,
        reason="DESIGN_LOOP_TEST_POSTGRES names no database (scripts/with_postgres.sh starts one)",
    ),
)


def make_schema(name: str) -> str:
    """Create a schema; the address of the ledger in it."""
    _administer(f"CREATE SCHEMA {name}")
    return address_in(name)


def address_in(name: str) -> str:
    """Address of the ledger in a schema."""
    inside = _database().update_query_dict({"options": f"-csearch_path={name}"})
    return inside.render_as_string(hide_password=False)


def drop_schema(name: str) -> None:
    """Remove a schema and the ledger in it."""
    _administer(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@contextmanager
def empty_schema(name: str) -> Iterator[str]:
    """An empty ledger's address, for as long as it lasts."""
    yield make_schema(name)
    drop_schema(name)


def _database() -> URL:
    return make_url(str(ADDRESS)).set(drivername="postgresql+psycopg")


def _administer(statement: str) -> None:
    # No connection stays behind: some who call this fork.
    admin = create_engine(_database(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(statement))
