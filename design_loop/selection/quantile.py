"""By surrogate error, the paper's filter; of what it keeps the likeliest hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from defects.targets import Target, prospect
from design_loop.selection.candidates import Score, Screened


class Quantile:
    """The smallest surrogate error is kept (Al-Maeeni et al. 2024), the likeliest hits come first.

    The surrogate error asks for the mean alone. Of a target that no label meets yet it takes what
    the surrogate says is nearest, however sure it is to be a miss; and inside a range many
    candidates have error 0. So among those that the filter keeps, the ones whose mean meets the
    targets come first, then the others, both by the probability of meeting them; where there is a
    goal the error orders (`defects.targets.prospect` says why).
    """

    def scores(
        self,
        candidates: Sequence[Screened],
        targets: Sequence[Target],
        known: Sequence[Mapping[str, float]],
        rng: np.random.Generator,
    ) -> list[Score]:
        """A score per candidate."""
        goal = any(t.goal is not None for t in targets)
        found = []
        for c in candidates:
            seen = prospect(targets, c.mean, c.std, c.surrogate_error)
            found.append(
                Score(
                    seen.by_error,
                    {
                        "surrogate_error": seen.error,
                        "meets": seen.meets,
                        "probability": seen.probability,
                    },
                    f"surrogate error {seen.error:.3f}, {_where(seen.meets, goal)}probability of "
                    f"meeting the targets {seen.probability:.2f}",
                    seen.order,
                )
            )
        return found


def _where(meets: bool, goal: bool) -> str:
    """The first key of the order among the kept, in words; none where it is not a key."""
    if goal:
        return ""
    return f"predicted {'inside all' if meets else 'outside of the'} targets, "
