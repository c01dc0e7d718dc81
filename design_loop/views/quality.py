"""What the surrogate was worth, round by round, on what the oracle verified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from design_loop.summary import CampaignSummary, RankedCandidate

#: Half width of the nominal 90 % interval in spreads (`defects.surrogates.base`).
Z90 = 1.645


@dataclass(frozen=True)
class RoundQuality:
    """The surrogate on the verified candidates of a round.

    Attributes
    ----------
    number : int
        The round.
    n : int
        Verified candidates with a prediction of the property.
    mae : float
        Mean distance between prediction and label, in the property's unit.
    spread : float
        Mean spread that the surrogate gave.
    coverage : float
        Share of the labels inside mean ± 1.645 spread; 0.9 where the spread is calibrated.
    """

    number: int
    n: int
    mae: float
    spread: float
    coverage: float


def round_quality(summary: CampaignSummary, name: str) -> list[RoundQuality]:
    """Measure the surrogate on one property, for every round that verified something.

    Empty in a campaign without an oracle: there the labels are the predictions themselves.
    """
    found = []
    for each in summary.rounds:
        mine = [c for c in verified(summary) if c.labelled_in == each.number]
        if measured := _measure(each.number, mine, name):
            found.append(measured)
    return found


def overall_quality(summary: CampaignSummary, name: str) -> RoundQuality | None:
    """Measure the surrogate over all rounds; None where nothing was verified."""
    return _measure(-1, verified(summary), name)


def verified(summary: CampaignSummary) -> list[RankedCandidate]:
    """Return the candidates whose label is the oracle's."""
    return [c for c in summary.candidates if str(c.source) == "oracle"]


def _measure(number: int, candidates: Sequence[RankedCandidate], name: str) -> RoundQuality | None:
    errors, spreads = [], []
    for c in candidates:
        if c.prediction is None or name not in c.prediction.mean or name not in c.properties:
            continue
        errors.append(abs(c.properties[name] - c.prediction.mean[name]))
        spreads.append(c.prediction.std.get(name, math.nan))
    if not errors:
        return None
    inside = [e <= Z90 * s for e, s in zip(errors, spreads, strict=True) if math.isfinite(s)]
    return RoundQuality(
        number=number,
        n=len(errors),
        mae=sum(errors) / len(errors),
        spread=sum(spreads) / len(spreads),
        coverage=sum(inside) / len(inside) if inside else math.nan,
    )
