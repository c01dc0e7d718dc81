"""Ledgers to test on: SQLite, and PostgreSQL where DESIGN_LOOP_TEST_POSTGRES names a database."""

from __future__ import annotations

import uuid

import pytest
from ledger_examples import FakeConfig, prepare
from postgres_schemas import ADDRESS, empty_schema

from design_loop.ledger import Ledger


@pytest.fixture(params=["sqlite", "postgresql"] if ADDRESS else ["sqlite"])
def target(request, tmp_path):
    """Address of an empty ledger, on every kind of database there is."""
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.sqlite")
        return
    with empty_schema(f"test_{uuid.uuid4().hex[:12]}") as address:
        yield address


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
