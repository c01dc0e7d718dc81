"""Claims on oracle calls: what one campaign computes, no other begins.

A claim is a row that points to the lease of the campaign's driver and is worth as much as that
lease: it is renewed with it, and free again when the driver gave it back, died or fell silent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from design_loop.ledger import tables as t
from design_loop.ledger.clock import database_time
from design_loop.ledger.database import insert_missing
from design_loop.ledger.lease import Lease, is_dead
from design_loop.ledger.states import CallState


def claim(connection: Connection, lease: Lease, keys: Collection[str]) -> set[str]:
    """Claim the open calls among `keys` that nobody else works on.

    Parameters
    ----------
    connection
        Inside a write.
    lease
        Of the campaign that wants to compute them.
    keys
        Oracle keys.

    Returns
    -------
    set of str
        Those that this campaign may compute now: new claims and its own older ones.
    """
    calls, claims = t.oracle_calls.c, t.oracle_claims.c
    # In one order for everybody, so that two claimers wait for each other but never in a circle.
    # Who records a result locks the same row: a call cannot end between this look and the claim.
    statement = (
        select(calls.key)
        .where(calls.key.in_(keys), calls.state == CallState.PENDING)
        .order_by(calls.key)
        .with_for_update()
    )
    wanted = list(connection.execute(statement).scalars())
    held = {row.key: row for row in _claims(connection, wanted)}
    now = database_time(connection)
    granted = set()
    for key in wanted:
        row = held.get(key)
        if row is not None and row.token == lease.token:
            granted.add(key)
            continue
        if row is not None:
            if _is_live(row, now):
                continue
            connection.execute(delete(t.oracle_claims).where(claims.key == key))
        new = {"key": key, "campaign": lease.campaign, "token": lease.token, "since": now}
        if insert_missing(connection, t.oracle_claims, new):
            granted.add(key)
    return granted


def holders(connection: Connection, keys: Collection[str]) -> dict[str, str]:
    """Read who computes which of these calls now: oracle key -> campaign."""
    now = database_time(connection)
    return {row.key: row.campaign for row in _claims(connection, keys) if _is_live(row, now)}


def release(connection: Connection, token: str) -> None:
    """Give all claims of a lease back."""
    connection.execute(delete(t.oracle_claims).where(t.oracle_claims.c.token == token))


def _claims(connection: Connection, keys: Collection[str]) -> Iterable[Row[Any]]:
    """Claims with the lease behind them; `expires` and `owner` are None where that is gone."""
    claims, lease = t.oracle_claims.c, t.leases.c
    statement = (
        select(claims.key, claims.campaign, claims.token, lease.expires, lease.owner)
        .outerjoin_from(t.oracle_claims, t.leases, lease.token == claims.token)
        .where(claims.key.in_(keys))
    )
    return connection.execute(statement).all()


def _is_live(row: Row[Any], now: Any) -> bool:
    return row.expires is not None and row.expires > now and not is_dead(row.owner)
