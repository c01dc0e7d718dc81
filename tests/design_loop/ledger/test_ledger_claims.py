"""No oracle call is computed twice, whoever wants it and whoever dies over it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ledger_examples import FakeConfig, prepare, run_until_selected
from sqlalchemy import update

from design_loop.ledger import Ledger, LedgerError
from design_loop.ledger.tables import leases

WORKER = Path(__file__).with_name("claim_worker.py")
CALLS = {"k0": "call-0", "k1": "call-1", "k2": "call-2"}
KEYS = set(CALLS.values())


def selected(ledger: Ledger, calls: dict[str, str] | None = None) -> str:
    """A campaign that has just selected its candidates."""
    campaign = ledger.create_campaign(FakeConfig(), "w")
    prepare(ledger, campaign)
    run_until_selected(ledger, campaign, calls or CALLS)
    return campaign


@pytest.fixture
def other(target):
    with Ledger(target) as opened:
        yield opened


def test_what_one_campaign_computes_no_other_begins(ledger, other):
    first, second = selected(ledger), selected(other)
    with ledger.lease(first), other.lease(second):
        assert ledger.claim_calls(first, ["call-0", "call-1"]) == {"call-0", "call-1"}
        assert other.claim_calls(second, KEYS) == {"call-2"}
        assert other.call_holders(KEYS) == {"call-0": first, "call-1": first, "call-2": second}
        # Its own claims are granted again: a step that is run anew goes on.
        assert ledger.claim_calls(first, KEYS) == {"call-0", "call-1"}
        ledger.record_label(first, 1, "k0", "call-0", {"gap": 1.0})
        assert other.call_holders(KEYS) == {"call-1": first, "call-2": second}
        assert other.claim_calls(second, KEYS) == {"call-2"}, "what is done is not computed again"
        assert other.reuse_labels(second, 1) == ["k0"]
        # A failed try is anybody's to repeat.
        ledger.record_failure(first, 1, "k1", "call-1", "boom", final=False)
        assert other.claim_calls(second, KEYS) == {"call-1", "call-2"}
        other.release_calls(second)
        assert ledger.claim_calls(first, KEYS) == {"call-1", "call-2"}


def test_claims_end_with_the_lease(ledger, other):
    first, second = selected(ledger), selected(other)
    with other.lease(second):
        with ledger.lease(first):
            ledger.claim_calls(first, KEYS)
            assert other.claim_calls(second, KEYS) == set()
        assert other.claim_calls(second, KEYS) == KEYS


def test_claims_of_a_silent_driver_are_taken_over(ledger, other):
    first, second = selected(ledger), selected(other)
    with ledger.lease(first, ttl_s=3600), other.lease(second):
        ledger.claim_calls(first, KEYS)
        with ledger._database.write() as connection:
            past = datetime.now(UTC) - timedelta(seconds=1)
            connection.execute(
                update(leases).where(leases.c.campaign == first).values(expires=past)
            )
        assert other.claim_calls(second, KEYS) == KEYS
        assert ledger.claim_calls(first, KEYS) == set()


def test_only_a_driver_claims(ledger):
    campaign = selected(ledger)
    with pytest.raises(LedgerError, match="only the driver"):
        ledger.claim_calls(campaign, KEYS)


def test_a_lease_runs_out_by_the_clock_of_the_database(ledger, campaign, monkeypatch):
    """A machine whose clock is hours ahead does not take a living campaign over."""
    if ledger._database.file is not None:
        pytest.skip("SQLite has no clock of its own")
    from design_loop.ledger import clock

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=5)

    monkeypatch.setattr(clock, "datetime", Ahead)
    with ledger.lease(campaign, ttl_s=60):
        with ledger._database.read() as connection:
            expires = connection.execute(leases.select()).one().expires
        assert abs((expires - datetime.now(UTC)).total_seconds() - 60) < 30


def test_quarantine_is_for_everybody_until_released(ledger, other):
    first, second = selected(ledger), selected(other)
    with ledger.lease(first):
        assert ledger.claim_calls(first, KEYS) == KEYS
        ledger.record_failure(first, 1, "k1", "call-1", "late", final=False, kind="Timeout")
        (open_call,) = [c for c in ledger.pending_oracle(first, 1) if c.candidate == "k1"]
        assert (open_call.tries, open_call.quarantined) == (1, None)
        ledger.record_failure(
            first, 1, "k1", "call-1", "no SCF", final=True, kind="SCFError", traceback="at line 3"
        )
        assert {c.candidate for c in ledger.pending_oracle(first, 1)} == {"k0", "k2"}
    (kept,) = ledger.quarantined(first)
    assert (kept.candidate, kept.tries, kept.failure.kind) == ("k1", 2, "SCFError")
    assert kept.failure.traceback == "at line 3"

    with other.lease(second):
        assert other.claim_calls(second, KEYS) == {"call-0", "call-2"}
        (known,) = [c for c in other.pending_oracle(second, 1) if c.quarantined]
        assert (known.candidate, known.quarantined) == ("k1", "no SCF")
        assert other.release_quarantined(first) == ["call-1"]
        assert other.quarantined(first) == []
        assert other.claim_calls(second, KEYS) == KEYS


def test_a_released_call_is_taken_up_by_the_next_round(ledger):
    campaign = selected(ledger)
    with ledger.lease(campaign):
        with ledger.step(campaign, 1, "verify"):
            for candidate, key in CALLS.items():
                if key == "call-1":
                    ledger.record_failure(campaign, 1, candidate, key, "boom", final=True)
                else:
                    ledger.record_label(campaign, 1, candidate, key, {"gap": 1.0})
        with ledger.step(campaign, 1, "learn"):
            pass
        ledger.finish_round(campaign, 1)
        ledger.start_round(campaign, 2, adapter="r001-aa", surrogate="s0")
        assert ledger.pending_oracle(campaign, 2) == []
        ledger.release_quarantined(campaign)
        (call,) = ledger.pending_oracle(campaign, 2)
        assert (call.candidate, call.tries) == ("k1", 0)
        ledger.record_failure(campaign, 2, "k1", "call-1", "again", final=True)
        assert ledger.pending_oracle(campaign, 2) == []
        ledger.release_quarantined(campaign)
        ledger.record_label(campaign, 2, "k1", "call-1", {"gap": 2.0})
        assert ledger.pending_oracle(campaign, 2) == []


def test_processes_share_the_calls_and_repeat_only_what_a_killed_one_had_in_flight(
    ledger, target, tmp_path
):
    many = {f"k{i}": f"call-{i}" for i in range(12)}
    campaigns = [selected(ledger, many) for _ in range(3)]
    log = tmp_path / "calls.log"
    log.touch()
    workers = []

    def start(campaign, seconds):
        command = [sys.executable, WORKER, target, campaign, log, seconds]
        workers.append(subprocess.Popen(command))

    def lines():
        return [line.split() for line in log.read_text().splitlines()]

    try:
        start(campaigns[0], "60")
        while not lines():
            assert workers[0].poll() is None
            time.sleep(0.02)
        for campaign in campaigns[1:]:
            start(campaign, "0.05")
        while len(lines()) < 11:  # its two claims are all that is left
            assert workers[1].poll() is workers[2].poll() is None
            time.sleep(0.02)
        workers[0].kill()
        assert [w.wait(60) for w in workers[1:]] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    begun = Counter(key for key, _ in lines())
    assert set(begun) == set(many.values())
    (repeated,) = [key for key, times in begun.items() if times > 1]
    assert begun[repeated] == 2 and lines()[0] == [repeated, campaigns[0]]
    for campaign in campaigns[1:]:
        labels = {x.candidate: x.properties for x in ledger.labels(campaign)}
        assert labels == {f"k{i}": {"gap": float(i)} for i in range(12)}


def test_a_call_of_no_candidate_is_claimed_and_kept_like_any_other(ledger, other):
    """A pristine energy: one campaign computes it, all have it, and no label knows of it."""
    first, second = selected(ledger), selected(other)
    ask = {"oracle_key": "pristine", "oracle": {"kind": "ase"}, "configuration": {"defects": []}}
    before = ledger.pending_oracle(first, 1), ledger.funnel(first)
    with ledger.lease(first), other.lease(second):
        ledger.ask_call(first, **ask)
        other.ask_call(second, **ask)
        assert ledger.claim_calls(first, ["pristine"]) == {"pristine"}
        assert other.claim_calls(second, ["pristine"]) == set()
        assert other.call_holders(["pristine"]) == {"pristine": first}
        assert ledger.get_oracle_result("pristine") is None
        with pytest.raises(LedgerError, match="energy not a finite number"):
            ledger.record_result(first, "pristine", {"energy": float("nan")})
        kept = ledger.record_result(first, "pristine", {"energy": -1.5}, 2.0, details={"a": 1})
        assert kept == other.get_oracle_result("pristine") == {"energy": -1.5}
        assert ledger.call_details(["pristine"]) == {"pristine": {"a": 1}}
        assert other.call_holders(["pristine"]) == {}
        # Done: nobody claims it again, and who comes late has to take what is there.
        other.ask_call(second, **ask)
        assert other.claim_calls(second, ["pristine"]) == set()
        assert other.record_result(second, "pristine", {"energy": 9.0}) == {"energy": -1.5}
    assert (ledger.pending_oracle(first, 1), ledger.funnel(first)) == before
    assert ledger.labels(first) == ledger.labels(second) == []
