"""A lease on a campaign: one driver at a time, and a dead one does not block the next.

The lease is a row with its owner and its expiry, renewed by a thread. A driver on the same machine
that was killed is recognised at once (its process is gone); one on another machine, when its lease
runs out by the clock of the database.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, select, update

from design_loop.ledger.clock import database_time
from design_loop.ledger.database import Database, insert_missing
from design_loop.ledger.errors import LeaseHeldError, LeaseLostError, LedgerError
from design_loop.ledger.tables import leases, oracle_claims

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds."""

    campaign: str
    token: str
    ttl: timedelta


@contextmanager
def held_lease(database: Database, campaign: str, ttl_s: float) -> Iterator[Lease]:
    """Hold the lease on a campaign, renewing it until the block ends.

    Parameters
    ----------
    database
        Where the lease is kept.
    campaign
        Its id.
    ttl_s
        After how many seconds without renewal another driver may take over.

    Raises
    ------
    LeaseHeldError
        Another driver holds it.
    """
    lease = Lease(campaign, uuid.uuid4().hex, timedelta(seconds=ttl_s))
    _acquire(database, lease)
    stop = threading.Event()
    thread = threading.Thread(
        target=_keep_renewing, args=(database, lease, stop), name=f"lease-{campaign}", daemon=True
    )
    thread.start()
    try:
        yield lease
    finally:
        stop.set()
        thread.join()
        _release(database, lease)


def check_lease(connection: Connection, lease: Lease) -> None:
    """Refuse to write under a lease that another driver has taken over.

    Raises
    ------
    LeaseLostError
        The row is no longer ours.
    """
    statement = select(leases.c.token).where(leases.c.campaign == lease.campaign)
    if connection.execute(statement).scalar_one_or_none() != lease.token:
        raise LeaseLostError(
            f"{lease.campaign}: this driver was silent for more than {lease.ttl.total_seconds():g} "
            "s and another one took the campaign over; this one stops, nothing is lost"
        )


def driver_of(connection: Connection, campaign: str) -> Mapping[str, Any] | None:
    """Return host and process of who holds a lease that has neither run out nor lost its owner."""
    statement = select(leases).where(leases.c.campaign == campaign)
    held = connection.execute(statement).one_or_none()
    if held is None or held.expires <= database_time(connection) or is_dead(held.owner):
        return None
    return held.owner


def _acquire(database: Database, lease: Lease) -> None:
    with database.write() as connection:
        now = database_time(connection)
        row = {
            "campaign": lease.campaign,
            "token": lease.token,
            "owner": _identity(),
            "acquired": now,
            "expires": now + lease.ttl,
        }
        statement = select(leases).where(leases.c.campaign == lease.campaign).with_for_update()
        held = connection.execute(statement).one_or_none()
        if held is not None:
            left = (held.expires - now).total_seconds()
            if left > 0 and not is_dead(held.owner):
                raise LeaseHeldError(
                    f"{lease.campaign}: another driver works on it (process {held.owner['pid']} on "
                    f"{held.owner['host']}). Stop that one first; if its machine is gone, the "
                    f"campaign is free again in {left:.0f} s."
                )
            _forget(connection, held.token)
        if not insert_missing(connection, leases, row):
            raise LeaseHeldError(f"{lease.campaign}: another driver took it at this very moment")


def _keep_renewing(database: Database, lease: Lease, stop: threading.Event) -> None:
    pause = regular = lease.ttl.total_seconds() / 3
    while not stop.wait(pause):
        try:
            with database.write() as connection:
                check_lease(connection, lease)
                connection.execute(
                    update(leases)
                    .where(leases.c.token == lease.token)
                    .values(expires=database_time(connection) + lease.ttl)
                )
            pause = regular
        except LeaseLostError as error:
            # The driver's next write says so too, where it can be handled.
            log.error("%s", error)
            return
        except LedgerError as error:
            log.warning("the lease could not be renewed, trying again: %s", error)
            pause = regular / 5


def _release(database: Database, lease: Lease) -> None:
    try:
        with database.write() as connection:
            _forget(connection, lease.token)
    except LedgerError as error:
        log.warning("the lease could not be given back, it runs out by itself: %s", error)


def _forget(connection: Connection, token: str) -> None:
    """Delete a lease and the claims on oracle calls that lived by it."""
    connection.execute(delete(oracle_claims).where(oracle_claims.c.token == token))
    connection.execute(delete(leases).where(leases.c.token == token))


def _identity() -> dict[str, Any]:
    """Say who holds a lease, exactly enough to see later whether that process still lives."""
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "machine": _machine(),
        "started": _process(pid)[1],
    }


def _machine() -> str | None:
    """Name this boot of this machine and this space of process ids; None where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _process(pid: int) -> tuple[str | None, str | None]:
    """Read state and start time of a process; (None, None) if there is none."""
    try:
        # The second field is the command in brackets and may hold anything; the rest is plain.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None, None
    return fields[0], fields[19]


def is_dead(owner: Mapping[str, Any]) -> bool:
    """Whether a lease's owner ran on this machine and is gone; False where that is unknown."""
    if owner.get("machine") is None or owner["machine"] != _machine():
        return False
    state, started = _process(int(owner["pid"]))
    return state in (None, "Z", "X") or started != owner.get("started")
