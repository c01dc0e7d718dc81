"""Finished rows never change: the database itself refuses, whoever asks."""

from __future__ import annotations

import pytest
from ledger_examples import FakeConfig, run_until_selected
from sqlalchemy import text

from design_loop.ledger import Action, LedgerError, StageCall
from design_loop.ledger.guards import UPDATE_GUARDS
from design_loop.ledger.tables import metadata

CHANGES = [
    "UPDATE campaigns SET config = '{}'",
    "UPDATE campaigns SET seed = 8",
    "UPDATE rounds SET adapter = 'other' WHERE number = 0",
    "UPDATE steps SET info = '{}' WHERE name = 'generate'",
    "UPDATE steps SET state = 'pending' WHERE name = 'generate'",
    "UPDATE samples SET text = 'other'",
    "UPDATE samples SET drop_reason = 'malformed'",
    "UPDATE candidates SET description = 'V_Mo'",
    "UPDATE predictions SET surrogate_error = 0",
    "UPDATE selections SET rank = 9",
    "UPDATE stage_calls SET rank = 9",
    "UPDATE labels SET properties = '{}'",
    "UPDATE oracle_calls SET result = '{}' WHERE state = 'done'",
    "UPDATE oracle_calls SET configuration = '{}'",
    "UPDATE oracle_failures SET final = final",
    "UPDATE adapters SET path = 'elsewhere'",
    "UPDATE surrogates SET path = 'elsewhere'",
    "UPDATE events SET message = 'nothing happened'",
    "UPDATE requests SET action = 'stop'",
    "UPDATE requests SET outcome = 'withdrawn'",
    "UPDATE amendments SET rounds = 9",
    "UPDATE lineage SET parent = campaign",
    "UPDATE inherited_labels SET properties = '{}'",
    *(f"DELETE FROM {name}" for name in sorted({guard.table for guard in UPDATE_GUARDS})),
]


@pytest.fixture
def full(ledger, campaign):
    """A ledger with a finished row in every table."""
    run_until_selected(ledger, campaign, {"k0": "call-0", "k1": "call-1"})
    ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})
    ledger.record_failure(campaign, 1, "k1", "call-1", "boom", final=False)
    ledger.choose_stage(campaign, 1, 2, [StageCall("k0", 1, "near", "dear-0")], {"kind": "ase"})
    ledger.event(campaign, "something happened")
    ledger.extend(campaign, rounds=1)
    ledger.ask(campaign, Action.PAUSE)
    ledger.fork_campaign(campaign, FakeConfig(), "w")
    return ledger


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_refused(full, change):
    with pytest.raises(LedgerError, match="never change"), full._database.write() as connection:
        connection.execute(text(change))


@pytest.mark.parametrize("table", sorted({guard.table for guard in UPDATE_GUARDS}))
def test_no_table_is_emptied_or_replaced_at_once(full, table):
    """Triggers of rows alone see neither."""
    sqlite = full._database.file is not None
    change = (
        f"REPLACE INTO {table} SELECT * FROM {table}" if sqlite else f"TRUNCATE {table} CASCADE"
    )
    with pytest.raises(LedgerError, match="never change"), full._database.write() as connection:
        connection.execute(text(change))


def test_open_rows_may_still_change(full):
    """The guards hold what is finished, not the work."""
    with full._database.write() as connection:
        for change in (
            "UPDATE campaigns SET state = 'done'",
            "UPDATE rounds SET state = 'done' WHERE number = 1",
            "UPDATE steps SET state = 'running' WHERE name = 'verify'",
            "UPDATE oracle_calls SET tries = 3 WHERE state <> 'done'",
        ):
            connection.execute(text(change))


def test_every_table_of_results_is_guarded():
    free = {"ledger_version", "leases", "oracle_claims", "tracking_runs"}
    assert {guard.table for guard in UPDATE_GUARDS} == set(metadata.tables) - free
