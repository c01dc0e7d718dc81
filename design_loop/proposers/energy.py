"""How good a configuration looks: the energy that searching proposers bring down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from defects.configuration import Configuration
from defects.targets import Target

if TYPE_CHECKING:
    from design_loop.campaign.context import Context

#: Spread below which a prediction counts as certain, in the property's unit.
_CERTAIN = 5e-3
#: What of a property that is to be minimised or maximised weighs as much as a factor e: this share
#: of its labels' spread, or of 1 in its unit where that is not known.
_GOAL_SCALE = 0.1


def target_energy(target: Target, mean: np.ndarray, std: np.ndarray | float) -> np.ndarray:
    """-ln P(target is met), for values normal around `mean`; a slope for an extreme.

    Far from the target it goes on rising as the square of the distance, where the probability
    itself has long become zero, so that a search finds its way from anywhere.

    Parameters
    ----------
    target : Target
    mean : ndarray
        Any shape, in the property's unit.
    std : ndarray or float
        Spread, broadcast against `mean`.

    Returns
    -------
    ndarray
        Shape of `mean`.
    """
    from scipy.special import log_ndtr

    if target.goal is not None:
        sign = 1.0 if target.goal == "minimize" else -1.0
        return target.weight * sign * mean / (_GOAL_SCALE * target.unit_error())
    spread = np.maximum(std, _CERTAIN)
    low, high = target.bounds()
    a, b = (low - mean) / spread, (high - mean) / spread
    # ln(Φ(b) - Φ(a)) on the side where both are small, or the difference would round to zero.
    flip = a > 0
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    upper, lower = log_ndtr(b), log_ndtr(a)
    with np.errstate(divide="ignore"):
        return -target.weight * (upper + np.log1p(-np.exp(np.minimum(lower - upper, -1e-300))))


def total_energy(
    targets: Sequence[Target],
    mean: Sequence[Mapping[str, float]],
    std: Sequence[Mapping[str, float]] | None = None,
) -> np.ndarray:
    """Energy of configurations from their predicted or known values, shape (n,)."""
    total = np.zeros(len(mean))
    for target in targets:
        name = target.property
        values = np.array([row.get(name, np.nan) for row in mean])
        spread = np.zeros(len(mean)) if std is None else np.array([row[name] for row in std])
        total += target_energy(target, values, spread)
    return np.where(np.isfinite(total), total, 1e6)


class Scorer:
    """Energies by the campaign's surrogate; counts how often it was asked.

    Attributes
    ----------
    evaluations : int
        Configurations predicted so far.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.evaluations = 0

    def __call__(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Energies, shape (n,)."""
        if not configurations:
            return np.zeros(0)
        self.evaluations += len(configurations)
        found = self._context.services.predict(configurations)
        return total_energy(self._context.config.targets, found.mean, found.std)
