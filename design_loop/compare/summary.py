"""The arms of a comparison in numbers, and what sets two of them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from design_loop.compare.arms import needs_model
from design_loop.compare.outcome import Outcome
from design_loop.compare.spread import Spread
from design_loop.config import CampaignConfig
from design_loop.summary import oracle_budget

#: The arm that all others are measured against.
RANDOM = "random"


@dataclass(frozen=True)
class ArmSummary:
    """An arm over its seeds; `Spread` of each figure, None where there is nothing.

    Attributes
    ----------
    arm, seeds
        Its name, and how many campaigns it had.
    samples, proposals, evaluations, hits, known_hits, best_error, seconds, own_seconds
        As in `Outcome`.
    calls
        Oracle calls with those that failed.
    by_seed : tuple of int
        The hits of each campaign.
    area
        Hits in the course of the calls; see `hits_area`. None without an oracle.
    times_random : float or None
        Mean hits by those of the ``random`` arm; None without that arm, or where it has none.
    """

    arm: str
    seeds: int
    samples: Spread
    proposals: Spread
    evaluations: Spread
    calls: Spread
    hits: Spread
    by_seed: tuple[int, ...]
    area: Spread | None
    times_random: float | None
    known_hits: Spread
    best_error: Spread | None
    seconds: Spread
    own_seconds: Spread


@dataclass(frozen=True)
class Difference:
    """Hits of one arm less those of another, seed by seed.

    Campaigns of one seed have their dataset and first surrogate in common, so that a part of what
    differs from seed to seed drops out.

    Attributes
    ----------
    first, second : str
        The arms.
    seeds : tuple of int
        Those that both had.
    by_seed : tuple of int
        Hits of the first less hits of the second.
    hits : Spread
        Of `by_seed`.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    by_seed: tuple[int, ...]
    hits: Spread


def hits_area(outcome: Outcome, budget: int) -> float | None:
    """Area under the curve of hits against oracle calls, as a share of "every call a hit".

    The mean over the calls 1 to `budget` of the hits so far, by that of a campaign all of whose
    calls are hits: 1 for that one, 0 without a hit. Of two campaigns with equally many hits the one
    that found them earlier has more. A campaign that made fewer calls stays at its last value.

    Parameters
    ----------
    outcome : Outcome
    budget : int
        Calls that every campaign may make; None is returned for 0.
    """
    if not budget:
        return None
    # A hit counts in every call from its own to the last.
    area = sum(budget + 1 - c.number for c in outcome.calls if c.hit and c.new)
    return area / (budget * (budget + 1) / 2)


def call_budget(outcomes: Sequence[Outcome], config: CampaignConfig) -> int:
    """Oracle calls that every campaign may make; more where one was extended."""
    return max([oracle_budget(config), *(o.spent for o in outcomes)])


def summarise(outcomes: Sequence[Outcome], config: CampaignConfig) -> list[ArmSummary]:
    """One row per arm, in the order in which they come."""
    by_random = [o.hits for o in outcomes if o.arm == RANDOM]
    budget = call_budget(outcomes, config)
    # The error of a goal is below zero where a label is better than the goal's reference.
    floor = 0.0 if all(t.goal is None for t in config.targets) else -math.inf
    rows = []
    for arm, mine in by_arm(outcomes):
        hits = [o.hits for o in mine]
        ratio = None
        if sum(by_random):
            ratio = (sum(hits) / len(hits)) / (sum(by_random) / len(by_random))
        areas = [a for o in mine if (a := hits_area(o, budget)) is not None]
        errors = [o.best_error for o in mine if o.best_error is not None]
        rows.append(
            ArmSummary(
                arm,
                len(mine),
                samples=_spread([o.samples for o in mine]),
                proposals=_spread([o.proposals for o in mine]),
                evaluations=_spread([o.evaluations for o in mine]),
                calls=_spread([o.spent for o in mine]),
                hits=_spread(hits, budget),
                by_seed=tuple(hits),
                area=Spread.of(areas, ceiling=1.0),
                times_random=ratio,
                known_hits=_spread([o.known_hits for o in mine]),
                best_error=Spread.of(errors, floor),
                seconds=_spread([o.seconds for o in mine]),
                own_seconds=_spread([o.own_seconds for o in mine]),
            )
        )
    return rows


def differences(outcomes: Sequence[Outcome]) -> list[Difference]:
    """Every arm against ``random``, and those with a language model against every search.

    Pairs without a common seed are left out.
    """
    hits = {arm: {o.seed: o.hits for o in mine} for arm, mine in by_arm(outcomes)}
    searches = [arm for arm in hits if not needs_model(arm)]
    found = []
    for first in hits:
        for second in searches:
            if first == second or not (needs_model(first) or second == RANDOM):
                continue
            seeds = tuple(sorted(hits[first].keys() & hits[second].keys()))
            by_seed = tuple(hits[first][s] - hits[second][s] for s in seeds)
            spread = Spread.of(by_seed, floor=-math.inf)
            if spread is not None:
                found.append(Difference(first, second, seeds, by_seed, spread))
    return found


def by_arm(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    """The arms in the order in which they come, each with its campaigns."""
    for arm in dict.fromkeys(o.arm for o in outcomes):
        yield arm, [o for o in outcomes if o.arm == arm]


def _spread(values: Sequence[float], ceiling: float = math.inf) -> Spread:
    found = Spread.of(values, ceiling=ceiling)
    assert found is not None  # an arm has at least one campaign
    return found
