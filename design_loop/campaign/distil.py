"""What the surrogate knows, as instructions: the model learns where nothing is labelled yet."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from defects.configuration import Configuration
from defects.sampling import random_configuration
from design_loop.campaign.context import Context
from design_loop.proposers.energy import total_energy

#: Random configurations that the surrogate looks at per one that is learnt from.
DRAWN = 10


def distilled(
    context: Context, number: int, known: Collection[str]
) -> list[tuple[Configuration, dict[str, float]]]:
    """Random configurations that the surrogate finds nearest to the targets, with its values.

    Labels say little of a target that none of them meets: asked for such a value, a language
    model falls back on what looks similar as text. The surrogate interpolates in the space of
    structures instead, and it answers thousands of times per second; learning from its answers
    is knowledge distillation (Hinton et al. 2015, arXiv:1503.02531) with the targets deciding what
    is asked. What it gets wrong is verified in this round and unlearnt in the next.

    Parameters
    ----------
    context
    number : int
        Round; its random numbers follow from it.
    known : collection of str
        Keys of labelled configurations, which need no prediction.

    Returns
    -------
    list of (Configuration, dict)
        Up to ``learn.distil`` of them with the predicted properties, best first.
    """
    wanted = context.config.learn.distil
    if not wanted:
        return []
    rng = context.rng(number, 6)
    host, rules = context.host, context.config.rules
    # Of the rules, not of an oracle's table: what that holds is for the oracle to say.
    drawn = [random_configuration(host, rules, rng) for _ in range(DRAWN * wanted)]
    found = context.services.predict(drawn)
    energies = total_energy(context.config.targets, found.mean, found.std)
    taught: dict[str, tuple[Configuration, dict[str, float]]] = {}
    for i in np.argsort(energies, kind="stable"):
        if len(taught) == wanted:
            break
        # What the surrogate itself calls foreign it cannot teach.
        if not found.ood[i] and (key := drawn[i].key) not in known:
            taught.setdefault(key, (drawn[i], dict(found.mean[i])))
    return list(taught.values())
