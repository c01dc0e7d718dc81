"""Oracle calls in the ledger: who computes them, what came out, what is given up."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, func, select, update

from design_loop.ledger import claims, queries, writes
from design_loop.ledger import records as rec
from design_loop.ledger import tables as t
from design_loop.ledger.durable import DurableWrites
from design_loop.ledger.errors import LedgerError, LedgerUnavailableError
from design_loop.ledger.states import CallState, Source

log = logging.getLogger(__name__)


class LedgerCalls(DurableWrites):
    """Claim oracle calls, record their labels and failures."""

    def ask_call(
        self,
        campaign: str,
        oracle_key: str,
        oracle: Mapping[str, Any],
        configuration: Mapping[str, Any],
    ) -> None:
        """Record a call that is no candidate's, unless some campaign asked for it before.

        It can be claimed like any other, and `record_result` ends it. No label, selection or
        budget knows of it.
        """
        self._persist(campaign, lambda c: writes.add_call(c, oracle_key, oracle, configuration))

    def claim_calls(self, campaign: str, keys: Collection[str]) -> set[str]:
        """Claim the calls that this campaign may compute now; the rest is done or another's.

        Raises
        ------
        LedgerError
            This process does not drive the campaign.
        """
        lease = self._leases.get(campaign)
        if lease is None:
            raise LedgerError(f"{campaign}: only the driver of a campaign claims oracle calls")
        return self._persist(campaign, lambda c: claims.claim(c, lease, keys))

    def release_calls(self, campaign: str) -> None:
        """Give back what was claimed and not computed; where that fails, the lease's end does."""
        lease = self._leases[campaign]
        try:
            # Not tried again: no work is lost, and a driver that stops for want of space would
            # wait for it twice.
            with self._write(campaign) as connection:
                claims.release(connection, lease.token)
        except LedgerUnavailableError as error:
            log.warning("oracle calls could not be given back, they are with the lease: %s", error)

    def call_holders(self, keys: Collection[str]) -> dict[str, str]:
        """Return which campaign computes which of these calls now."""
        with self._database.read() as connection:
            return claims.holders(connection, keys)

    def reuse_labels(
        self, campaign: str, number: int, stage: int = 1, source: Source = Source.ORACLE
    ) -> list[str]:
        """Label pending candidates whose call another round or campaign finished; return them."""

        def take_over(connection: Connection) -> list[str]:
            found = queries.finished_elsewhere(connection, campaign, number, stage, source)
            for candidate, key, result, seconds in found:
                writes.add_oracle_label(
                    connection, campaign, number, candidate, key, result, seconds, source=source
                )
            return [candidate for candidate, _, _, _ in found]

        return self._persist(campaign, take_over)

    def record_label(
        self,
        campaign: str,
        number: int,
        candidate: str,
        oracle_key: str,
        properties: Mapping[str, float],
        seconds: float | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        source: Source = Source.ORACLE,
    ) -> bool:
        """Record the oracle's result at once, in a transaction of its own.

        `details` is what came out besides the properties, `source` what the label is recorded as.

        Returns
        -------
        bool
            False if the candidate was labelled already; then nothing changes.
        """
        return self._persist(
            campaign,
            lambda connection: writes.add_oracle_label(
                connection,
                campaign,
                number,
                candidate,
                oracle_key,
                properties,
                seconds,
                details=details,
                source=source,
            ),
        )

    def record_result(
        self,
        campaign: str,
        oracle_key: str,
        properties: Mapping[str, float],
        seconds: float | None = None,
        *,
        details: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Record what came out of a call that is no candidate's, in a transaction of its own.

        Returns
        -------
        dict
            What the ledger holds now: where another campaign was first, its result.
        """
        values = writes.numbers(oracle_key, properties)

        def finish(connection: Connection) -> dict[str, float]:
            call = writes.finish_call(connection, oracle_key, values, seconds, details)
            return dict(call.result)

        return self._persist(campaign, finish)

    def record_failure(
        self,
        campaign: str,
        number: int,
        candidate: str,
        oracle_key: str,
        error: str,
        *,
        final: bool,
        seconds: float | None = None,
        kind: str | None = None,
        traceback: str | None = None,
    ) -> None:
        """Record a failed try of the oracle.

        Parameters
        ----------
        campaign, number, candidate, oracle_key
            Whose try it was.
        error
            What happened, in a line.
        final
            Put the call into quarantine: nobody tries it again until it is released.
        seconds
            How long the try took.
        kind
            ``Timeout``, ``Crash``, ``OutOfMemory`` or the name of the exception.
        traceback
            Where it happened, if that is known.
        """
        failure = rec.CallFailure(error, final, seconds, kind, traceback)
        self._persist(
            campaign,
            lambda connection: writes.add_oracle_failure(
                connection, campaign, number, candidate, oracle_key, failure
            ),
        )

    def quarantined(self, campaign: str) -> list[rec.QuarantinedCall]:
        """Return the calls of a campaign that nobody computes, the oldest failure first."""
        with self._database.read() as connection:
            return queries.quarantined(connection, campaign)

    def release_quarantined(self, campaign: str) -> list[str]:
        """Let the quarantined calls of a campaign be tried anew; returns their keys.

        The next step ``verify`` of the campaign takes them up, whichever round chose them.
        """

        def free(connection: Connection) -> list[str]:
            keys = sorted({call.oracle_key for call in queries.quarantined(connection, campaign)})
            last = connection.execute(select(func.max(t.oracle_failures.c.id))).scalar_one()
            connection.execute(
                update(t.oracle_calls)
                .where(
                    t.oracle_calls.c.key.in_(keys),
                    t.oracle_calls.c.state == CallState.QUARANTINED,
                )
                .values(state=CallState.PENDING, tries=0, forgiven=last)
            )
            return keys

        with self._database.write() as connection:
            return free(connection)
