"""High-throughput screening: random configurations of the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from design_loop.ledger import Sample
from design_loop.proposers.base import SearchProposer, as_samples
from design_loop.proposers.energy import Scorer
from design_loop.proposers.history import known_keys

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun


class RandomProposer(SearchProposer):
    """Random valid configurations, none twice and none that is known.

    With ``screen`` above 1 so many times more are drawn, and the surrogate keeps the best: what
    one does who has a fast surrogate and nothing else.
    """

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """Draw, and screen if asked to."""
        wanted = context.config.generation.samples
        screen = context.config.proposer.screen
        drawn = context.domain.distinct(
            wanted * screen, context.rng(number, 1), known_keys(context)
        )
        if screen > 1:
            score = Scorer(context)
            order = np.argsort(score(drawn), kind="stable")[:wanted]
            drawn = [drawn[i] for i in order]
            run.info["surrogate_evaluations"] = score.evaluations
        return as_samples(context, "random", drawn)
