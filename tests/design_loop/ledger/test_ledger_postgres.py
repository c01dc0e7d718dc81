"""That the other tests here ran on PostgreSQL, or why they did not."""

from __future__ import annotations

import os

import pytest

from design_loop.doctor import Severity, examine
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


def test_the_doctor_tells_whose_soundness_it_examined(address, target, ledger, campaign):
    """SQLite's pages are read; of PostgreSQL it is said that nothing was."""
    told = [f for f in examine(ledger, campaign).findings if f.check == "ledger"]
    if not target.startswith("postgresql"):
        assert told == []
        return
    [finding] = told
    assert "PostgreSQL, whose soundness is not examined here" in finding.what
    assert finding.severity is Severity.INFO


def test_wrong_password_is_told_without_it(address):
    name, _, place = address.rpartition("@")
    wrong = f"{name.rpartition(':')[0]}:not-the-password@{place}"
    with pytest.raises(LedgerError) as error:
        Ledger(wrong)
    assert "not-the-password" not in str(error.value)
