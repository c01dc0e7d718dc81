"""The Pareto front of a campaign: labelled candidates that no other beats in every target.

Objectives are the targets' errors (`Target.error`): distance to a value, distance out of a range
(0 inside), or how much worse than its reference a goal is. All are minimised. The front is derived
from the labels, which never change, so that it needs no table of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.targets import Target

if TYPE_CHECKING:
    from design_loop.ledger import Ledger
    from design_loop.summary import CampaignSummary, RankedCandidate

#: The reference point lies so far behind the worst of the front, as a share of the front's extent
#: (Ishibuchi et al., Evolutionary Computation 26, 411 (2018): slightly worse than the nadir).
BEYOND_NADIR = 0.1


def errors_of(targets: Sequence[Target], rows: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Errors of labels in units of each target's `unit_error`, shape (n, m); all are minimised.

    Infinite where a property has no label.
    """
    return np.array(
        [[t.error(r.get(t.property, math.nan)) / t.unit_error() for t in targets] for r in rows]
    ).reshape(len(rows), len(targets))


def non_dominated(errors: np.ndarray) -> np.ndarray:
    """Which rows no other row beats, shape (n,), bool; equals stay together.

    A row beats another when it is nowhere worse and somewhere better. Rows that are not finite are
    never on the front.
    """
    import moocore

    found = np.isfinite(errors).all(axis=1)
    if found.any():
        found[found] = moocore.is_nondominated(errors[found], keep_weakly=True)
    return found


def reference_point(errors: np.ndarray) -> np.ndarray:
    """A point behind a front, from which hypervolumes are measured, shape (m,).

    Per objective the worst of the front and `BEYOND_NADIR` of its extent more; of a front without
    extent one unit error more, so that its points dominate something.
    """
    front = errors[non_dominated(errors)]
    if not len(front):
        return np.ones(errors.shape[1])
    worst, extent = front.max(axis=0), np.ptp(front, axis=0)
    return worst + np.where(extent > 0, BEYOND_NADIR * extent, 1.0)


def hypervolume(errors: np.ndarray, reference: np.ndarray) -> float:
    """Volume that points dominate within a reference point, in unit errors."""
    import moocore

    inside = errors[(errors < reference).all(axis=1)] if len(errors) else errors
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def pareto_front(ledger: Ledger, campaign: str) -> dict[str, Any]:
    """The front of a campaign and how it grew, as plain data (see `front_of`).

    Raises
    ------
    LedgerError
        When the ledger has no such campaign.
    """
    from design_loop.summary import summarise_campaign

    return front_of(summarise_campaign(ledger, campaign))


def front_of(summary: CampaignSummary) -> dict[str, Any]:
    """The front of a campaign's labelled candidates and how it grew.

    Verified candidates count; in a campaign without an oracle those with the surrogate's values.

    Returns
    -------
    dict
        ``objectives``: per target ``property, target`` (its text), ``goal`` (minimize, maximize or
        None) and ``unit_error``. ``points``: per candidate ``key, rank, description, round,
        labelled_in, values`` (property -> value), ``errors`` (property -> error, in the property's
        unit), ``meets, front`` (now) and ``joined`` (the round with which it came onto the front,
        or None). ``rounds``: per round with labels ``number, front`` (keys after it),
        ``hypervolume`` (in unit errors, from ``reference``). ``reference``: property -> error of
        the reference point, in the property's unit; the same for all rounds.
    """
    targets = summary.targets
    rows = [c for c in summary.candidates if math.isfinite(c.error)]
    errors = errors_of(targets, [c.properties for c in rows])
    labelled_in = np.array([c.labelled_in for c in rows], dtype=int)
    reference = reference_point(errors)
    rounds: list[dict[str, Any]] = []
    joined: dict[str, int] = {}
    front = np.zeros(len(rows), dtype=bool)
    for number in sorted(set(labelled_in.tolist())):
        so_far = np.flatnonzero(labelled_in <= number)
        front = np.zeros(len(rows), dtype=bool)
        front[so_far] = non_dominated(errors[so_far])
        keys = [c.key for c, on in zip(rows, front, strict=True) if on]
        for key in keys:
            joined.setdefault(key, number)
        rounds.append(
            {
                "number": number,
                "front": keys,
                "hypervolume": hypervolume(errors[front], reference),
            }
        )
    units = [t.unit_error() for t in targets]
    return {
        "objectives": [
            {
                "property": t.property,
                "target": t.text(),
                "goal": t.goal,
                "unit_error": t.unit_error(),
            }
            for t in targets
        ],
        "points": [
            _point(c, targets, bool(on), joined.get(c.key))
            for c, on in zip(rows, front, strict=True)
        ],
        "rounds": rounds,
        "reference": {
            t.property: float(r * u) for t, r, u in zip(targets, reference, units, strict=True)
        },
    }


def _point(
    candidate: RankedCandidate, targets: Sequence[Target], front: bool, joined: int | None
) -> dict[str, Any]:
    values = {t.property: float(candidate.properties[t.property]) for t in targets}
    return {
        "key": candidate.key,
        "rank": candidate.rank,
        "description": candidate.description,
        "round": candidate.round,
        "labelled_in": candidate.labelled_in,
        "values": values,
        "errors": {t.property: t.error(values[t.property]) for t in targets},
        "meets": candidate.meets,
        "front": front,
        "joined": joined,
    }
