"""One driver at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from design_loop.ledger import LeaseHeldError, LeaseLostError, Ledger
from design_loop.ledger.tables import leases

HOLD = """
import sys, time
from design_loop.ledger import Ledger
with Ledger(sys.argv[1]) as ledger, ledger.lease(sys.argv[2], ttl_s=600):
    print("held", flush=True)
    time.sleep(600)
"""


def _expire(ledger):
    with ledger._database.write() as connection:
        connection.execute(update(leases).values(expires=datetime.now(UTC) - timedelta(seconds=1)))


def test_the_second_driver_is_refused_with_the_name_of_the_first(ledger, campaign, target):
    with (
        Ledger(target) as other,
        ledger.lease(campaign),
        pytest.raises(LeaseHeldError, match=r"another driver works on it \(process \d+ on"),
        other.lease(campaign),
    ):
        pass


def test_a_lease_that_was_given_back_is_free(ledger, campaign, target):
    with ledger.lease(campaign):
        pass
    with Ledger(target) as other, other.lease(campaign):
        other.event(campaign, "mine")


def test_leases_of_different_campaigns_do_not_meet(ledger, campaign, target):
    from ledger_examples import FakeConfig

    second = ledger.create_campaign(FakeConfig(), "w")
    with Ledger(target) as other, ledger.lease(campaign), other.lease(second):
        pass


def test_an_expired_lease_is_taken_and_the_old_driver_may_write_no_more(ledger, campaign, target):
    with Ledger(target) as other, ledger.lease(campaign, ttl_s=3600):
        _expire(ledger)
        with other.lease(campaign):
            with pytest.raises(LeaseLostError, match="another one took the campaign over"):
                ledger.set_campaign_state(campaign, "running")
            with pytest.raises(LeaseLostError), ledger.step(campaign, 1, "generate"):
                pass
            with other.step(campaign, 1, "generate") as step:
                assert step.attempt == 1


def test_a_held_lease_is_renewed_before_it_ends(ledger, campaign, target):
    with Ledger(target) as other, ledger.lease(campaign, ttl_s=0.6):
        time.sleep(1.2)
        with pytest.raises(LeaseHeldError), other.lease(campaign):
            pass


def test_a_killed_driver_does_not_block_the_next(ledger, campaign, target):
    """On the same machine its death is seen at once, long before the lease ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, target, campaign], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LeaseHeldError), ledger.lease(campaign):
            pass
    finally:
        holder.kill()
    # Not waited for: a killed process that nobody has buried yet is dead, too.
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with ledger.lease(campaign):
                break
        except LeaseHeldError:
            time.sleep(0.05)
    else:
        pytest.fail("the lease of a killed process was not free within 10 s")
    holder.wait()
    holder.stdout.close()
