"""What a look into the ledger's own health needs, and the few repairs that it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from design_loop.ledger import claims, writes
from design_loop.ledger import tables as t
from design_loop.ledger.clock import database_time
from design_loop.ledger.control import LedgerControl
from design_loop.ledger.errors import LeaseHeldError
from design_loop.ledger.lease import is_dead
from design_loop.ledger.states import CampaignState, StepState


@dataclass(frozen=True)
class LeaseState:
    """The lease of a campaign; ``left_s`` is how long it runs by the database's clock."""

    owner: Mapping[str, Any]
    acquired: datetime
    left_s: float
    dead: bool

    @property
    def living(self) -> bool:
        """Whether a driver has to be assumed behind it."""
        return self.left_s > 0 and not self.dead


class LedgerRepair(LedgerControl):
    """Examine the ledger, and put right what a killed driver left."""

    def lease_state(self, campaign: str) -> LeaseState | None:
        """Return who holds the campaign; None where nobody does."""
        with self._database.read() as connection:
            return _lease(connection, campaign)

    def stale_claims(self, campaign: str) -> list[str]:
        """Return the oracle calls that a driver of the campaign claimed and nobody computes."""
        c = t.oracle_claims.c
        with self._database.read() as connection:
            keys = connection.execute(select(c.key).where(c.campaign == campaign)).scalars().all()
            return sorted(set(keys) - set(claims.holders(connection, keys)))

    def damage(self) -> list[str] | None:
        """Return what the database says of its own soundness; nothing where it is sound.

        SQLite's pages and indexes are read completely. PostgreSQL watches foreign keys by itself
        and has its administrator for the rest: None, it was not examined.
        """
        if self._database.file is None:
            return None
        with self._database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
            dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        found = [line for line in pages if line != "ok"]
        tables = sorted({f"{row[0]} -> {row[2]}" for row in dangling})
        if dangling:
            found.append(
                f"{len(dangling)} rows point to rows that are not there ({', '.join(tables)})"
            )
        return found

    def forget_lease(self, campaign: str) -> None:
        """Delete the lease and the claims of a driver that is gone.

        Raises
        ------
        LeaseHeldError
            It lives.
        """
        with self._database.write() as connection:
            _refuse_living(connection, campaign)
            for table in (t.oracle_claims, t.leases):
                connection.execute(delete(table).where(table.c.campaign == campaign))

    def settle_after_death(self, campaign: str) -> None:
        """Say of a campaign whose driver died that it stands still; its open step waits again.

        Raises
        ------
        LeaseHeldError
            A driver lives.
        """
        with self._database.write() as connection:
            _refuse_living(connection, campaign)
            connection.execute(
                update(t.steps)
                .where(t.steps.c.campaign == campaign, t.steps.c.state == StepState.RUNNING)
                .values(state=StepState.PENDING)
            )
            connection.execute(
                update(t.campaigns)
                .where(t.campaigns.c.id == campaign, t.campaigns.c.state == CampaignState.RUNNING)
                .values(state=CampaignState.STOPPED, error="its driver died", updated=writes.now())
            )


def _lease(connection: Connection, campaign: str) -> LeaseState | None:
    row = connection.execute(select(t.leases).where(t.leases.c.campaign == campaign)).one_or_none()
    if row is None:
        return None
    left = (row.expires - database_time(connection)).total_seconds()
    return LeaseState(row.owner, row.acquired, left, is_dead(row.owner))


def _refuse_living(connection: Connection, campaign: str) -> None:
    lease = _lease(connection, campaign)
    if lease is not None and lease.living:
        raise LeaseHeldError(
            f"{campaign}: its driver is at work (process {lease.owner['pid']} on "
            f"{lease.owner['host']}); there is nothing to mend under it"
        )
