"""Writes that wait for a ledger that cannot be written for a while, instead of losing a result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from design_loop.ledger.database import Database
from design_loop.ledger.errors import LedgerUnavailableError
from design_loop.ledger.lease import Lease, check_lease
from design_loop.ledger.reader import LedgerReader

log = logging.getLogger(__name__)

T = TypeVar("T")
_LONGEST_PAUSE_S = 30.0


class DurableWrites(LedgerReader):
    """Transactions under the lease of a campaign.

    Parameters
    ----------
    database
        An opened ledger.
    patience_s
        How long a write whose work must not be lost is tried again while the ledger is locked, its
        disk is full or its server is away, in seconds.
    """

    def __init__(self, database: Database, patience_s: float = 0.0) -> None:
        super().__init__(database)
        self._patience_s = patience_s
        self._leases: dict[str, Lease] = {}

    @contextmanager
    def _write(self, campaign: str) -> Iterator[Connection]:
        """Give a transaction; where this process drives the campaign, only if it still does."""
        with self._database.write() as connection:
            if campaign in self._leases:
                check_lease(connection, self._leases[campaign])
            yield connection

    def _persist(self, campaign: str, action: Callable[[Connection], T]) -> T:
        """Run an action in a transaction, again and again until it is committed.

        Raises
        ------
        LedgerUnavailableError
            It could not be committed for `patience_s`.
        """
        give_up = time.monotonic() + self._patience_s
        pause = 0.5
        while True:
            try:
                with self._write(campaign) as connection:
                    return action(connection)
            except LedgerUnavailableError as error:
                left = give_up - time.monotonic()
                if left <= 0:
                    raise
                log.warning("%s Trying again for %.0f s.", error, left)
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
