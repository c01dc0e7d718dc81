"""Which candidates the oracle sees: the best by surrogate error, made diverse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.targets import Target, probability_of_meeting


@dataclass(frozen=True)
class Screened:
    """A candidate with what the surrogate says of it.

    Attributes
    ----------
    key : str
    configuration : Configuration
    mean, std : mapping
        Property -> prediction and spread, in its unit.
    surrogate_error : float
        Distance of `mean` to the targets, eV.
    """

    key: str
    configuration: Configuration
    mean: Mapping[str, float]
    std: Mapping[str, float]
    surrogate_error: float


@dataclass(frozen=True)
class Choice:
    """A chosen candidate and why."""

    key: str
    rank: int
    reason: str


def select(
    candidates: Sequence[Screened],
    targets: Sequence[Target],
    *,
    quantile: float,
    budget: int,
    diversity: float,
    max_std: Mapping[str, float] | None = None,
) -> list[Choice]:
    """Choose up to `budget` candidates for the oracle.

    The paper's filter keeps the quantile with the smallest surrogate error (Al-Maeeni et al.
    2024). Inside a target range many candidates have error 0; among equals the one more likely to
    meet the targets comes first. Then a greedy pass trades that order against the distance to
    those already chosen (maximal marginal relevance, Carbonell & Goldstein 1998), in the space of
    the sparse features, so that the oracle's budget is not spent on near copies.

    Parameters
    ----------
    candidates : sequence of Screened
    targets : sequence of Target
    quantile : float
        Share kept by surrogate error, in (0, 1].
    budget : int
    diversity : float
        0: order alone, 1: distance alone.
    max_std : mapping, optional
        Property -> largest spread that is trusted; candidates beyond it are not considered.

    Returns
    -------
    list of Choice
        In the order chosen; empty when there is nothing to choose from.
    """
    limits = max_std or {}
    trusted = [c for c in candidates if all(c.std[p] <= s for p, s in limits.items())]
    if not trusted:
        return []
    chances = {c.key: probability_of_meeting(targets, c.mean, c.std) for c in trusted}
    ordered = sorted(trusted, key=lambda c: (c.surrogate_error, -chances[c.key], c.key))
    kept = ordered[: max(1, math.ceil(quantile * len(ordered)))]
    if len(kept) < budget:
        # A quantile below the budget would leave oracle calls unused.
        kept = ordered[: min(budget, len(ordered))]
    distance = _distances([c.configuration for c in kept])
    merit = 1.0 - np.arange(len(kept)) / len(kept)
    chosen: list[int] = []
    nearest = np.full(len(kept), np.inf)
    while len(chosen) < min(budget, len(kept)):
        spread = np.ones(len(kept)) if not chosen else nearest / max(distance.max(), 1e-12)
        score = (1 - diversity) * merit + diversity * spread
        score[chosen] = -np.inf
        best = int(score.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, distance[best])
    choices = []
    for rank, i in enumerate(chosen, start=1):
        c = kept[i]
        choices.append(
            Choice(
                c.key,
                rank,
                f"surrogate error {c.surrogate_error:.3f} eV, place {i + 1} of {len(trusted)} "
                f"({len(kept)} kept), probability of meeting the targets {chances[c.key]:.2f}",
            )
        )
    return choices


def _distances(configurations: Sequence[Configuration]) -> np.ndarray:
    """Distances between configurations in standardised sparse features, shape (n, n)."""
    kinds = tuple(sorted({name for c in configurations for name in c.counts()}))
    most = max(c.n_defects for c in configurations)
    features = SparseEncoder(configurations[0].host, kinds, most).transform(configurations)
    features = np.asarray(features, dtype=float)
    features = np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0)
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    squares = (features**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0.0))
