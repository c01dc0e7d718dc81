"""Which candidates the next stage of an oracle sees: the best by the labels of the one before."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from defects.targets import Target, probability_of_meeting, surrogate_error

#: Pairs of labels from which on the offset between two stages is trusted.
ENOUGH_PAIRS = 3

Values = Mapping[str, float]


@dataclass(frozen=True)
class Estimate:
    """What is expected of a candidate before the dearer stage computes it.

    Attributes
    ----------
    key : str
    values : dict
        Property -> cheap label plus offset where the cheap stage gives it, else the prediction.
    error : float
        Distance of `values` to the targets.
    chance : float
        Probability of meeting all targets, with the surrogate's spread.
    """

    key: str
    values: dict[str, float]
    error: float
    chance: float


def offsets(pairs: Sequence[tuple[Values, Values]], names: Sequence[str]) -> dict[str, float]:
    """What the dearer stage gives more than the cheap one: median over labels by both.

    Two methods often differ by a nearly constant shift (a gap that one of them underestimates); the
    median of few pairs stands one that went wrong.

    Parameters
    ----------
    pairs : sequence of (cheap, dear)
        Labels of the same candidates.
    names : sequence of str
        Properties.

    Returns
    -------
    dict
        Property -> offset in its unit; 0 with fewer than `ENOUGH_PAIRS` pairs.
    """
    found = {}
    for name in names:
        differences = [
            dear[name] - cheap[name] for cheap, dear in pairs if name in cheap and name in dear
        ]
        enough = len(differences) >= ENOUGH_PAIRS
        found[name] = statistics.median(differences) if enough else 0.0
    return found


def rank(
    cheap: Mapping[str, Values],
    predicted: Mapping[str, tuple[Values, Values]],
    targets: Sequence[Target],
    shift: Values,
) -> list[Estimate]:
    """Order candidates for the next stage, the most promising first.

    Parameters
    ----------
    cheap : mapping
        Candidate -> labels of the stage before.
    predicted : mapping
        Candidate -> (mean, spread) of the surrogate.
    targets : sequence of Target
    shift : mapping
        Of `offsets`.

    Returns
    -------
    list of Estimate
        Candidates of which some target's property is neither labelled nor predicted are left out.
    """
    found = []
    for key, labels in cheap.items():
        mean, spread = predicted.get(key, ({}, {}))
        values = dict(mean) | {n: v + shift.get(n, 0.0) for n, v in labels.items()}
        if any(t.property not in values for t in targets):
            continue
        found.append(
            Estimate(
                key,
                {t.property: values[t.property] for t in targets},
                surrogate_error(targets, values),
                probability_of_meeting(targets, values, spread),
            )
        )
    return sorted(found, key=lambda e: (e.error, -e.chance, e.key))
