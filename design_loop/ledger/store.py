"""The ledger of campaigns: what a driver writes down and what a resume reads back."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, update

from design_loop.ledger import queries, steps, writes
from design_loop.ledger import records as rec
from design_loop.ledger import tables as t
from design_loop.ledger.control import LedgerControl
from design_loop.ledger.database import BUSY_TIMEOUT_S, Database
from design_loop.ledger.errors import LedgerError, Suspended
from design_loop.ledger.forks import LedgerForks
from design_loop.ledger.lease import Lease, check_lease, held_lease
from design_loop.ledger.states import PREPARE_STEPS, ROUND_STEPS, StepState

log = logging.getLogger(__name__)


class Ledger(LedgerControl, LedgerForks):
    """Campaigns and everything that happened in them.

    Every method is one transaction; a process killed anywhere leaves whole transactions behind.
    All of them raise `LedgerError` where the database refuses.

    Parameters
    ----------
    target
        File of an SQLite database or a URL (``postgresql://user@host/name``).
    create
        Make the file and the tables where they are missing.
    upgrade
        Bring a ledger of an older version up to date; without it such a ledger is refused.
    busy_timeout_s
        How long to wait for another process's write to SQLite, in seconds.
    """

    def __init__(
        self,
        target: str | Path,
        *,
        create: bool = True,
        upgrade: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        super().__init__(
            Database(target, create=create, upgrade=upgrade, busy_timeout_s=busy_timeout_s)
        )
        self._leases: dict[str, Lease] = {}

    # -- campaigns

    def create_campaign(
        self, config: writes.Config, workdir: str | Path, versions: Mapping[str, str] | None = None
    ) -> str:
        """Record a new campaign and return its id.

        Parameters
        ----------
        config
            Validated; kept as it is and never changed.
        workdir
            Where the campaign's files lie; a resume finds them there.
        versions
            Package -> version; the installed ones by default.
        """
        with self._database.write() as connection:
            return writes.add_campaign(connection, config, workdir, versions)

    @contextmanager
    def lease(self, campaign: str, ttl_s: float = 60.0) -> Iterator[None]:
        """Be the only driver of a campaign; afterwards every write checks that we still are.

        Raises
        ------
        LeaseHeldError
            Another driver works on it.
        """
        with held_lease(self._database, campaign, ttl_s) as lease:
            self._leases[campaign] = lease
            try:
                yield
            finally:
                del self._leases[campaign]

    # -- rounds and steps

    def start_round(
        self,
        campaign: str,
        number: int,
        *,
        adapter: str | None = None,
        surrogate: str | None = None,
        step_names: Sequence[str] | None = None,
    ) -> rec.Round:
        """Start a round, or return it as it was started.

        Parameters
        ----------
        campaign, number
            Which; the round before it must be done. Round 0 prepares.
        adapter, surrogate
            Names of what the round works with.
        step_names
            In order; by default `PREPARE_STEPS` for round 0, `ROUND_STEPS` for the others.
        """
        if step_names is None:
            step_names = PREPARE_STEPS if number == 0 else ROUND_STEPS
        with self._write(campaign) as connection:
            known = {r.number: r for r in queries.rounds(connection, campaign)}
            if number in known:
                return known[number]
            before = known.get(number - 1)
            if number > 0 and (before is None or before.state != StepState.DONE):
                raise LedgerError(f"{campaign}: round {number} follows {number - 1}, not done yet")
            started = writes.now()
            row = {"campaign": campaign, "number": number, "state": StepState.RUNNING,
                   "adapter": adapter, "surrogate": surrogate, "started": started}  # fmt: skip
            connection.execute(t.rounds.insert(), row)
            connection.execute(
                t.steps.insert(),
                [
                    {"campaign": campaign, "round": number, "name": name, "position": position,
                     "state": StepState.PENDING, "attempts": 0, "info": {}}
                    for position, name in enumerate(step_names)
                ],
            )  # fmt: skip
            return rec.Round(number, StepState.RUNNING, adapter, surrogate, started, None)

    def finish_round(self, campaign: str, number: int) -> None:
        """Mark a round done; it stays so if it was."""
        with self._write(campaign) as connection:
            left = [
                s.name for s in queries.steps(connection, campaign, number) if not s.state.is_final
            ]
            if left:
                raise LedgerError(f"{campaign}, round {number}: {', '.join(left)} not done yet")
            r = t.rounds.c
            connection.execute(
                update(t.rounds)
                .where(r.campaign == campaign, r.number == number, r.state != StepState.DONE)
                .values(state=StepState.DONE, finished=writes.now())
            )

    @contextmanager
    def step(self, campaign: str, number: int, name: str) -> Iterator[steps.StepRun]:
        """Run a step: ``with ledger.step(...) as step: if step.todo: ...``.

        What the block hands to the `StepRun` is written in one transaction together with the mark
        ``done`` when the block ends. An error marks the step failed and goes on to the caller; the
        next run of the step starts it anew. `Suspended` leaves it pending. A done step is handed
        out with ``done`` set.
        """
        with self._write(campaign) as connection:
            run = steps.begin(connection, campaign, number, name)
        if run.done:
            yield run
            return
        try:
            yield run
            with self._write(campaign) as connection:
                run.commit(connection)
        except Suspended:
            with self._write(campaign) as connection:
                run.suspend(connection)
            raise
        except Exception as error:
            self._mark_failed(run, error)
            raise

    # -- oracle

    def reuse_labels(self, campaign: str, number: int) -> list[str]:
        """Label pending candidates whose call another round or campaign finished; return them."""
        with self._write(campaign) as connection:
            found = queries.finished_elsewhere(connection, campaign, number)
            for candidate, key, result, seconds in found:
                writes.add_oracle_label(
                    connection, campaign, number, candidate, key, result, seconds
                )
            return [candidate for candidate, _, _, _ in found]

    def record_label(
        self,
        campaign: str,
        number: int,
        candidate: str,
        oracle_key: str,
        properties: Mapping[str, float],
        seconds: float | None = None,
    ) -> bool:
        """Record the oracle's result at once, in a transaction of its own.

        Returns
        -------
        bool
            False if the candidate was labelled already; then nothing changes.
        """
        with self._write(campaign) as connection:
            return writes.add_oracle_label(
                connection, campaign, number, candidate, oracle_key, properties, seconds
            )

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
    ) -> None:
        """Record a failed try of the oracle; `final` gives the candidate up for this round."""
        with self._write(campaign) as connection:
            writes.add_oracle_failure(
                connection, campaign, number, candidate, oracle_key, error, final, seconds
            )

    # -- events

    def event(
        self, campaign: str, message: str, *, level: str = "info", number: int | None = None
    ) -> None:
        """Record a message."""
        row = {"campaign": campaign, "round": number, "time": writes.now(), "level": level,
               "message": message}  # fmt: skip
        with self._database.write() as connection:
            writes.add_event(connection, campaign, number, level, message)

    @contextmanager
    def _write(self, campaign: str) -> Iterator[Connection]:
        with self._database.write() as connection:
            if campaign in self._leases:
                check_lease(connection, self._leases[campaign])
            yield connection

    def _mark_failed(self, run: steps.StepRun, error: Exception) -> None:
        try:
            with self._write(run.campaign) as connection:
                run.fail(connection, error)
        except LedgerError as second:
            # The first error matters more; a step left "running" is run again like a failed one.
            log.warning("the failure of %s could not be recorded: %s", run.name, second)
