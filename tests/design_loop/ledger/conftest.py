"""Ledgers to test on: SQLite, and PostgreSQL where DESIGN_LOOP_TEST_POSTGRES names a database."""

from __future__ import annotations

import os
import uuid

import pytest
from ledger_examples import FakeConfig, prepare
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from design_loop.ledger import Ledger

ADDRESS = os.environ.get("DESIGN_LOOP_TEST_POSTGRES")


@pytest.fixture(params=["sqlite", "postgresql"] if ADDRESS else ["sqlite"])
def target(request, tmp_path):
    """Address of an empty ledger, on every kind of database there is."""
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.sqlite")
        return
    url = make_url(ADDRESS).set(drivername="postgresql+psycopg")
    schema = f"test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    inside = url.update_query_dict({"options": f"-csearch_path={schema}"})
    yield inside.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture
def ledger(target):
    with Ledger(target) as opened:
        yield opened


@pytest.fixture
def campaign(ledger):
    """A campaign whose round 0 is done and whose round 1 has begun."""
    name = ledger.create_campaign(FakeConfig(), "work")
    prepare(ledger, name)
    return name
