"""What a campaign knows so far, as searching proposers start from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from defects.configuration import Configuration
from design_loop.proposers.energy import Scorer, total_energy

if TYPE_CHECKING:
    from design_loop.campaign.context import Context


def known_keys(context: Context) -> set[str]:
    """Classes that would be dropped as no discovery."""
    return context.ledger.known_keys(context.id) | context.training_keys


def labelled(context: Context) -> list[tuple[Configuration, dict[str, float]]]:
    """Configurations with labels of all targets' properties, dataset first."""
    wanted = [t.property for t in context.config.targets]
    rows = [(r.configuration, r.properties) for r in context.dataset if r.properties]
    rows += [
        (context.configuration(label.configuration), dict(label.properties))
        for label in context.labels(context.teacher)
    ]
    return [(c, values) for c, values in rows if all(p in values for p in wanted)]


def ranked(context: Context, score: Scorer) -> list[tuple[Configuration, float]]:
    """Everything known with its energy, the best first: by label, else by today's surrogate."""
    rows = labelled(context)
    best: dict[str, tuple[Configuration, float]] = {}
    for (c, _), energy in zip(
        rows,
        total_energy(context.config.targets, [values for _, values in rows]),
        strict=True,
    ):
        best.setdefault(c.key, (c, float(energy)))
    open_ = [
        context.configuration(c.configuration)
        for c in context.ledger.candidates(context.id)
        if c.key not in best
    ]
    for c, energy in zip(open_, score(open_), strict=True):
        best.setdefault(c.key, (c, float(energy)))
    return sorted(best.values(), key=lambda item: (item[1], item[0].key))
