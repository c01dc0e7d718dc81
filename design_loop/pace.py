"""Where a campaign stands in time: its current step, and when it may be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import mean
from typing import Any

from design_loop.ledger import ROUND_STEPS, Amendment, Campaign, CampaignState, Step, StepState

#: Rounds whose durations the estimate is made from: early ones have less to learn from.
LATEST = 3


@dataclass(frozen=True)
class Pace:
    """A campaign in time.

    Attributes
    ----------
    round, rounds : int
        The current or last round, and how many there are to be, added ones included.
    steps : tuple of Step
        Of that round, in order.
    running : Step or None
        The step at work.
    elapsed_s : float or None
        Since that step began, s.
    expected_s : float or None
        What such a step took lately, s.
    remaining_s : float or None
        Until the campaign's end if it goes on now, s; see `seconds_left`. 0 for one that is done,
        None for one that was stopped.
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


def pace(
    campaign: Campaign,
    steps: Sequence[Step],
    amendments: Sequence[Amendment] = (),
    now: datetime | None = None,
) -> Pace:
    """Say how a campaign stands in time.

    Parameters
    ----------
    campaign
    steps
        All of it, in order.
    amendments
        What was added since the start.
    now
        UTC; replaced in tests.
    """
    now = now or datetime.now(UTC)
    state = CampaignState(campaign.state)
    wanted = planned_rounds(campaign.config, amendments)
    current = max((s.round for s in steps), default=0)
    mine = tuple(s for s in steps if s.round == current)
    alive = state is CampaignState.RUNNING
    running = next((s for s in mine if alive and s.state is StepState.RUNNING), None)
    done = [s for s in steps if s.state is StepState.DONE and s.seconds is not None]
    usual = usual_seconds((s.name, s.seconds or 0.0) for s in done)
    elapsed = None
    if running is not None and running.started is not None:
        elapsed = max((now - running.started).total_seconds(), 0.0)
    remaining: float | None = 0.0 if state is CampaignState.DONE else None
    if state not in (CampaignState.DONE, CampaignState.STOPPED):
        open_ = {s.name: 0.0 for s in mine if current and s.state is not StepState.DONE}
        if running is not None and running.name in open_:
            open_[running.name] = elapsed or 0.0
        remaining = seconds_left(usual, wanted - current, open_)
    return Pace(
        round=current,
        rounds=wanted,
        steps=mine,
        running=running,
        elapsed_s=elapsed,
        expected_s=usual.get(running.name) if running is not None else None,
        remaining_s=remaining,
        worked_s=sum(s.seconds or 0.0 for s in done),
    )


def usual_seconds(taken: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Step -> seconds that it usually takes: the mean of the latest rounds that have it.

    Parameters
    ----------
    taken
        Name and duration (s) of every finished step, in the order of the rounds.
    """
    times: dict[str, list[float]] = {}
    for name, seconds in taken:
        times.setdefault(name, []).append(seconds)
    usual = {name: mean(row[-LATEST:]) for name, row in times.items()}
    if "prepare" in usual:
        usual.setdefault("learn", usual["prepare"])  # the same work, from fewer labels
    return usual


def seconds_left(
    usual: Mapping[str, float], rounds: int, open_: Mapping[str, float]
) -> float | None:
    """Seconds until a campaign's end; None where a step to come has never been seen.

    Parameters
    ----------
    usual
        From `usual_seconds`.
    rounds
        To come after the one at work.
    open_
        Steps of the round at work that are not done -> seconds already spent on them; a step that
        takes longer than usual has nothing left, not less.
    """
    whole = ROUND_STEPS if rounds > 0 else ()
    if not set(usual).issuperset((*whole, *open_)):
        return None
    here = sum(max(usual[name] - spent, 0.0) for name, spent in open_.items())
    return here + max(rounds, 0) * sum(usual[name] for name in whole)


def planned_rounds(config: Mapping[str, Any], amendments: Sequence[Amendment]) -> int:
    """Rounds in all, with what was added since the start."""
    return int(config.get("rounds", 0)) + sum(a.rounds or 0 for a in amendments)


def planned_calls(config: Mapping[str, Any], amendments: Sequence[Amendment]) -> int:
    """Candidates that may be verified in all rounds; 0 without an oracle.

    Of several stages the last one verifies. A changed budget counts from its first round on.
    """
    oracle, rounds = config.get("oracle", {}), planned_rounds(config, amendments)
    if oracle.get("kind") == "none":
        return 0
    then = oracle.get("then") or ()
    budget = int((then[-1] if then else config.get("selection", {})).get("budget", 0))
    changes = [a for a in amendments if a.budget and a.stage == 1 + len(then)]
    total = 0
    for number in range(1, rounds + 1):
        valid = [a.budget for a in changes if a.budget and a.first_round <= number]
        total += valid[-1] if valid else budget
    return total
