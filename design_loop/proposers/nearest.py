"""The best of the dataset: what is known without any search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from design_loop.ledger import Sample
from design_loop.proposers.base import SearchProposer, as_samples
from design_loop.proposers.energy import total_energy
from design_loop.summary import target_error

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun


class NearestProposer(SearchProposer):
    """Rows of the dataset by their distance to the targets, a slice of them each round.

    None of them is a discovery; they say what a search has to be better than.
    """

    novel = False

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """The next best rows."""
        targets, wanted = context.config.targets, context.config.generation.samples
        rows = {
            r.configuration.key: r
            for r in context.dataset
            if all(t.property in r.properties for t in targets)
            and r.configuration in context.domain
        }
        errors = np.array([target_error(targets, r.properties) for r in rows.values()])
        energies = total_energy(targets, [r.properties for r in rows.values()])
        order = np.lexsort((list(rows), energies, errors))
        found = [list(rows.values())[i].configuration for i in order]
        return as_samples(context, "nearest", found[(number - 1) * wanted : number * wanted])
