"""A step of a round: what it found is committed together with the mark that it is done."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, select, update

from design_loop.ledger import tables as t
from design_loop.ledger import writes
from design_loop.ledger.errors import LedgerError
from design_loop.ledger.records import (
    Adapter,
    Candidate,
    Check,
    Prediction,
    Sample,
    Selection,
    Surrogate,
)
from design_loop.ledger.states import StepState


class StepRun:
    """One run of a step. Results handed to it are written when the step ends without an error.

    Attributes
    ----------
    campaign, round, name
        Which step.
    done
        It was finished by an earlier run: there is nothing to do, and nothing can be added.
    attempt
        1 in the first run; more after a crash or a failure.
    info
        What shall be remembered of the step (JSON); of a done step, what it left.
    """

    def __init__(
        self, campaign: str, number: int, name: str, attempt: int, done: bool, info: Mapping
    ) -> None:
        self.campaign = campaign
        self.round = number
        self.name = name
        self.attempt = attempt
        self.done = done
        self.info: dict[str, Any] = dict(info)
        self._writes: list[Callable[[Connection], None]] = []
        self._begun = time.monotonic()

    @property
    def todo(self) -> bool:
        """Whether the step still has to run."""
        return not self.done

    def record_samples(self, samples: Sequence[Sample]) -> None:
        """Keep the raw answers of the round (step ``generate``)."""
        self._add(writes.add_samples, list(samples))

    def record_checks(self, checks: Sequence[Check], candidates: Sequence[Candidate]) -> None:
        """Keep what became of every sample, and the new candidates (step ``check``)."""
        self._add(writes.add_checks, list(checks), list(candidates))

    def record_predictions(self, surrogate: str, predictions: Sequence[Prediction]) -> None:
        """Keep one surrogate version's predictions (step ``predict``)."""
        self._add(writes.add_predictions, surrogate, list(predictions))

    def record_selection(
        self, selections: Sequence[Selection], oracle: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the chosen candidates; `oracle` is its name and settings (step ``select``)."""
        self._add(writes.add_selections, list(selections), dict(oracle or {}))

    def record_unverified(self, labels: Mapping[str, Mapping[str, float]]) -> None:
        """Keep surrogate values as labels, candidate key -> properties (``use_unverified``)."""
        self._add(writes.add_unverified, dict(labels))

    def add_adapter(self, adapter: Adapter) -> None:
        """Keep a finished adapter (steps ``prepare`` and ``learn``)."""
        self._add(writes.add_adapter, adapter)

    def add_surrogate(self, surrogate: Surrogate) -> None:
        """Keep a fitted surrogate (steps ``prepare`` and ``learn``)."""
        self._add(writes.add_surrogate, surrogate)

    def record_event(self, message: str, *, level: str = "info") -> None:
        """Keep a message; it is told once however often the step has to be run."""
        self._add(writes.add_event, level, message)

    def _add(self, write: Callable[..., None], *values: Any) -> None:
        if self.done:
            raise LedgerError(
                f"{self.campaign}, round {self.round}, {self.name}: is done, nothing can be added"
            )
        self._writes.append(
            lambda connection: write(connection, self.campaign, self.round, *values)
        )

    def commit(self, connection: Connection) -> None:
        """Write what was handed over and mark the step done."""
        for write in self._writes:
            write(connection)
        self._update(
            connection,
            state=StepState.DONE,
            finished=writes.now(),
            seconds=time.monotonic() - self._begun,
            info=self.info,
        )
        self.done = True

    def fail(self, connection: Connection, error: Exception) -> None:
        """Mark the step failed, with the error and where it came from."""
        self._update(
            connection,
            state=StepState.FAILED,
            finished=writes.now(),
            seconds=time.monotonic() - self._begun,
            error="".join(traceback.format_exception(error)),
        )

    def suspend(self, connection: Connection) -> None:
        """Leave the step to a later run; what it has committed on its way stays."""
        self._update(connection, state=StepState.PENDING)

    def _update(self, connection: Connection, **values: Any) -> None:
        connection.execute(
            update(t.steps).where(_is(self.campaign, self.round, self.name)).values(**values)
        )


def begin(connection: Connection, campaign: str, number: int, name: str) -> StepRun:
    """Mark a step running, or find it done.

    Raises
    ------
    LedgerError
        The round does not have this step, or an earlier step is not done.
    """
    row = connection.execute(select(t.steps).where(_is(campaign, number, name))).one_or_none()
    if row is None:
        raise LedgerError(f"{campaign}: round {number} has no step {name}, or was not started")
    if row.state == StepState.DONE:
        return StepRun(campaign, number, name, row.attempts, True, row.info)
    statement = select(t.steps.c.name).where(
        t.steps.c.campaign == campaign,
        t.steps.c.round == number,
        t.steps.c.position < row.position,
        t.steps.c.state != StepState.DONE,
    )
    earlier = connection.execute(statement.order_by(t.steps.c.position)).scalars().first()
    if earlier is not None:
        raise LedgerError(f"{campaign}, round {number}: {name} comes after {earlier}, not done yet")
    connection.execute(
        update(t.steps)
        .where(_is(campaign, number, name))
        .values(
            state=StepState.RUNNING,
            attempts=row.attempts + 1,
            started=writes.now(),
            finished=None,
            seconds=None,
            error=None,
        )
    )
    return StepRun(campaign, number, name, row.attempts + 1, False, {})


def _is(campaign: str, number: int, name: str) -> Any:
    return and_(t.steps.c.campaign == campaign, t.steps.c.round == number, t.steps.c.name == name)
