"""The ledger of campaigns: what a driver writes down and what a resume reads back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, update

from design_loop.ledger import queries, steps, writes
from design_loop.ledger import records as rec
from design_loop.ledger import tables as t
from design_loop.ledger.calls import LedgerCalls
from design_loop.ledger.database import BUSY_TIMEOUT_S, Database
from design_loop.ledger.errors import LedgerError, Suspended
from design_loop.ledger.forks import LedgerForks
from design_loop.ledger.lease import held_lease
from design_loop.ledger.repair import LedgerRepair
from design_loop.ledger.stages import LedgerStages
from design_loop.ledger.states import PREPARE_STEPS, ROUND_STEPS, StepState
from design_loop.ledger.tracking import LedgerTracking

log = logging.getLogger(__name__)


class Ledger(LedgerCalls, LedgerRepair, LedgerForks, LedgerStages, LedgerTracking):
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
    patience_s
        How long to go on trying to write results down while the ledger is locked, its disk full or
        its server away, in seconds.
    """

    def __init__(
        self,
        target: str | Path,
        *,
        create: bool = True,
        upgrade: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        patience_s: float = 0.0,
    ) -> None:
        database = Database(target, create=create, upgrade=upgrade, busy_timeout_s=busy_timeout_s)
        super().__init__(database, patience_s)

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
            Package -> version; by default the installed ones, and this code's.
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
        next run of the step starts it anew. `Suspended` and Ctrl-C leave it pending. A done step is
        handed out with ``done`` set.
        """
        run = self._persist(campaign, lambda c: steps.begin(c, campaign, number, name))
        if run.done:
            yield run
            return
        try:
            yield run
            self._persist(campaign, run.commit)
        except Suspended:
            with self._write(campaign) as connection:
                run.suspend(connection)
            raise
        except KeyboardInterrupt:
            if not run.done:  # it may come just after the commit
                self._mark(run, run.suspend)
            raise
        except Exception as error:
            self._mark(run, partial(run.fail, error=error))
            raise

    # -- events

    def event(
        self, campaign: str, message: str, *, level: str = "info", number: int | None = None
    ) -> None:
        """Record a message."""
        with self._database.write() as connection:
            writes.add_event(connection, campaign, number, level, message)

    def _mark(self, run: steps.StepRun, how: Callable[[Connection], None]) -> None:
        """Record how a step ended, if that can be done."""
        try:
            with self._write(run.campaign) as connection:
                how(connection)
        except LedgerError as second:
            # What ended it matters more; a step left "running" is run again like a failed one.
            log.warning("the end of %s could not be recorded: %s", run.name, second)
