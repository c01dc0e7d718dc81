"""Where a campaign stands in time: its current step, and when it may be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import mean

from design_loop.ledger import Campaign, Round, Step, StepState, queries
from design_loop.ledger.reader import LedgerReader

#: Rounds whose durations the estimate is made from: early ones have less to learn from.
LATEST = 3


@dataclass(frozen=True)
class Pace:
    """A campaign in time.

    Attributes
    ----------
    round, rounds : int
        The current or last round, and how many there are to be.
    steps : tuple of Step
        Of that round, in order.
    running : Step or None
        The step at work.
    elapsed_s : float or None
        Since that step began, s.
    expected_s : float or None
        What such a step took lately, s.
    remaining_s : float or None
        Until the campaign's end at the pace of its latest rounds, s; None before the first is done,
        and where it does not run.
    worked_s : float
        In all finished steps, s.
    """

    round: int
    rounds: int
    steps: tuple[Step, ...]
    running: Step | None
    elapsed_s: float | None
    expected_s: float | None
    remaining_s: float | None
    worked_s: float


def read_pace(ledger: LedgerReader, campaign: Campaign, now: datetime | None = None) -> Pace:
    """Read how a campaign stands in time.

    Parameters
    ----------
    ledger
    campaign
    now
        UTC; replaced in tests.
    """
    with ledger.reading() as connection:
        added = sum(a.rounds or 0 for a in queries.amendments(connection, campaign.id))
    return pace(campaign, ledger.rounds(campaign.id), ledger.steps(campaign.id), now, added)


def pace(
    campaign: Campaign,
    rounds: Sequence[Round],
    steps: Sequence[Step],
    now: datetime | None = None,
    added: int = 0,
) -> Pace:
    """Say how a campaign stands in time, from its rounds and steps; `added` rounds came later."""
    now = now or datetime.now(UTC)
    wanted = int(campaign.config.get("rounds", 0)) + added
    current = max((r.number for r in rounds), default=0)
    mine = tuple(s for s in steps if s.round == current)
    alive = str(campaign.state) == "running"
    running = next((s for s in mine if alive and s.state is StepState.RUNNING), None)
    usual = _usual(rounds, steps)
    elapsed = None
    if running is not None and running.started is not None:
        elapsed = max((now - running.started).total_seconds(), 0.0)
    remaining = None
    if alive and usual:
        left = [s.name for s in mine if s.state is not StepState.DONE]
        whole = sum(usual.values()) * (wanted - current)
        remaining = whole + sum(usual.get(name, 0.0) for name in left) if current else None
        if remaining is not None and running is not None and elapsed is not None:
            remaining -= min(elapsed, usual.get(running.name, 0.0))
    return Pace(
        round=current,
        rounds=wanted,
        steps=mine,
        running=running,
        elapsed_s=elapsed,
        expected_s=usual.get(running.name) if running is not None else None,
        remaining_s=remaining,
        worked_s=sum(s.seconds or 0.0 for s in steps if s.state is StepState.DONE),
    )


def _usual(rounds: Sequence[Round], steps: Sequence[Step]) -> dict[str, float]:
    """Mean duration of every step in the latest finished rounds, s."""
    done = [r.number for r in rounds if r.number > 0 and r.state is StepState.DONE][-LATEST:]
    seconds: dict[str, list[float]] = {}
    for step in steps:
        if step.round in done and step.seconds is not None:
            seconds.setdefault(step.name, []).append(step.seconds)
    return {name: mean(values) for name, values in seconds.items()}
