"""By surrogate error, the paper's filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from defects.targets import Target, probability_of_meeting
from design_loop.selection.candidates import Score, Screened


class Quantile:
    """The smallest surrogate error first (Al-Maeeni et al. 2024).

    Inside a target range many candidates have error 0; among equals the one more likely to meet
    the targets comes first.
    """

    def scores(
        self,
        candidates: Sequence[Screened],
        targets: Sequence[Target],
        known: Sequence[Mapping[str, float]],
        rng: np.random.Generator,
    ) -> list[Score]:
        """A score per candidate."""
        found = []
        for c in candidates:
            chance = probability_of_meeting(targets, c.mean, c.std)
            found.append(
                Score(
                    (c.surrogate_error, -chance),
                    {"surrogate_error": c.surrogate_error, "probability": chance},
                    f"surrogate error {c.surrogate_error:.3f}, probability of meeting the targets "
                    f"{chance:.2f}",
                )
            )
        return found
