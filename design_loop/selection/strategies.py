"""Strategies: how candidates are ordered for the oracle, the best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from defects.targets import Target
from design_loop.selection.candidates import Score, Screened
from design_loop.selection.improvement import Improvement
from design_loop.selection.probability import Probability
from design_loop.selection.quantile import Quantile


class Strategy(Protocol):
    """Judges candidates one by one; diversity and exploration are not its business."""

    def scores(
        self,
        candidates: Sequence[Screened],
        targets: Sequence[Target],
        known: Sequence[Mapping[str, float]],
        rng: np.random.Generator,
    ) -> list[Score]:
        """A score per candidate.

        Parameters
        ----------
        candidates : sequence of Screened
        targets : sequence of Target
        known : sequence of mappings
            Properties of everything labelled so far.
        rng : numpy Generator
        """
        ...


#: By the name in a campaign file.
STRATEGIES: dict[str, Strategy] = {
    "quantile": Quantile(),
    "probability": Probability(),
    "ehvi": Improvement(),
}
