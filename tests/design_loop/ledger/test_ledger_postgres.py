"""That the other tests here ran on PostgreSQL, or why they did not."""

from __future__ import annotations

import os

import pytest

from design_loop.ledger import Ledger, LedgerError


@pytest.fixture
def address(request):
    if not os.environ.get("DESIGN_LOOP_TEST_POSTGRES"):
        pytest.skip(
            "the ledger was tested on SQLite only: DESIGN_LOOP_TEST_POSTGRES names no database "
            "(scripts/with_postgres.sh starts one)"
        )
    return os.environ["DESIGN_LOOP_TEST_POSTGRES"]


def test_contract_ran_on_postgresql(address, target):
    """`target` is parametrised by `conftest`: SQLite, then PostgreSQL."""
    with Ledger(target) as ledger:
        assert ledger.campaigns() == []


def test_wrong_password_is_told_without_it(address):
    name, _, place = address.rpartition("@")
    wrong = f"{name.rpartition(':')[0]}:not-the-password@{place}"
    with pytest.raises(LedgerError) as error:
        Ledger(wrong)
    assert "not-the-password" not in str(error.value)
