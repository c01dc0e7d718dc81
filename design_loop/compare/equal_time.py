"""Hits at equal wall time: as it was measured, and as it were with a dearer oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

from design_loop.compare.outcome import Call, Outcome
from design_loop.compare.spread import Spread
from design_loop.compare.summary import by_arm

#: Moments nearer to the next one than this share of it tell nothing more.
_APART = 0.01


@dataclass(frozen=True)
class Moment:
    """A time at which all arms are looked at.

    Attributes
    ----------
    seconds : float
        Since each campaign began.
    arm : str
        The arm whose last campaign has just ended, or has had half of its time.
    half : bool
    """

    seconds: float
    arm: str
    half: bool


@dataclass(frozen=True)
class EqualTime:
    """Hits of every arm at common times.

    A campaign that has ended stays at its last value: more it did not find. Before its first label
    a campaign has no hits.

    Attributes
    ----------
    call_hours : float or None
        Assumed hours of an oracle call, one after the other, beside what each campaign took outside
        its steps ``verify``; None for the time that was measured.
    moments : tuple of Moment
        In order: half of the fastest arm's time, and when the fastest, the median and the slowest
        arm has ended, without those that nearly coincide with the next.
    hits : mapping
        Arm -> its hits at each moment, over its seeds.
    """

    call_hours: float | None
    moments: tuple[Moment, ...]
    hits: Mapping[str, tuple[Spread, ...]]


def equal_time(outcomes: Sequence[Outcome], call_hours: float | None = None) -> EqualTime:
    """Look at all arms at common times.

    Parameters
    ----------
    outcomes : sequence of Outcome
        At least one.
    call_hours : float, optional
        What an oracle call is assumed to take; as measured by default.
    """
    came, ended = _clock(call_hours)
    ends = {arm: max(map(ended, mine)) for arm, mine in by_arm(outcomes)}
    moments = _moments(ends)
    most = max(o.spent for o in outcomes)
    hits = {}
    for arm, mine in by_arm(outcomes):
        row = []
        for moment in moments:
            found = Spread.of(
                [sum(c.hit and c.new and came(c) <= moment.seconds for c in o.calls) for o in mine],
                ceiling=most,
            )
            assert found is not None
            row.append(found)
        hits[arm] = tuple(row)
    return EqualTime(call_hours, moments, hits)


def _clock(
    call_hours: float | None,
) -> tuple[Callable[[Call], float], Callable[[Outcome], float]]:
    """When a label came and when a campaign ended, s."""
    if call_hours is None:
        return (lambda call: call.seconds), (lambda outcome: outcome.seconds)
    cost = 3600.0 * call_hours
    return (
        lambda call: call.own_seconds + cost * call.number,
        lambda outcome: outcome.own_seconds + cost * outcome.spent,
    )


def _moments(ends: Mapping[str, float]) -> tuple[Moment, ...]:
    """The common times of arms that ended then."""
    middle = median_low(ends.values())
    fastest, slowest = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    planned = [
        Moment(ends[fastest] / 2, fastest, True),
        Moment(ends[fastest], fastest, False),
        Moment(middle, next(arm for arm, end in ends.items() if end == middle), False),
        Moment(ends[slowest], slowest, False),
    ]
    kept = [planned.pop()]
    for moment in reversed(planned):
        if moment.seconds < (1 - _APART) * kept[0].seconds:
            kept.insert(0, moment)
    return tuple(kept)
