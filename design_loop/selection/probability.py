"""By the probability that all targets are met."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from defects.targets import Target, probability_of_meeting
from design_loop.selection.candidates import Score, Screened


class Probability:
    """The most probable hit first, by the surrogate's mean and spread, properties independent.

    A goal is met by any value; here it counts as met by what is better than the best label of its
    property so far (probability of improvement, Kushner 1964). Weights do not enter: a probability
    knows of no trade. Far away all probabilities are zero in floating point, and the surrogate
    error decides.
    """

    def scores(
        self,
        candidates: Sequence[Screened],
        targets: Sequence[Target],
        known: Sequence[Mapping[str, float]],
        rng: np.random.Generator,
    ) -> list[Score]:
        """A score per candidate."""
        wanted = [as_bound(t, known) for t in targets]
        found = []
        for c in candidates:
            chance = probability_of_meeting(wanted, c.mean, c.std)
            parts = {"probability": chance, "surrogate_error": c.surrogate_error}
            parts |= {
                f"probability:{t.property}": probability_of_meeting([t], c.mean, c.std)
                for t in wanted
                if len(wanted) > 1
            }
            found.append(
                Score(
                    (-chance, c.surrogate_error),
                    parts,
                    f"probability of meeting the targets {chance:.3f}, surrogate error "
                    f"{c.surrogate_error:.3f}",
                )
            )
        return found


def as_bound(target: Target, known: Sequence[Mapping[str, float]]) -> Target:
    """A goal as "better than the best label"; any other target as it is."""
    if target.goal is None:
        return target
    values = [r[target.property] for r in known if math.isfinite(r.get(target.property, math.nan))]
    if not values:
        return target
    if target.goal == "minimize":
        return Target(property=target.property, max=min(values))
    return Target(property=target.property, min=max(values))
