"""Which configurations a labelling run takes up: explicit ones, all classes, or random ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from defects.configuration import Configuration
from defects.errors import RuleError
from defects.hosts import Host
from defects.rules import Rules
from defects.sampling import enumerate_configurations, random_configuration

Sampling = Literal["random", "enumerate"]

#: Draws in a row without anything new after which the rules count as exhausted.
_EXHAUSTED = 5000


def plan(
    candidates: Iterable[Configuration], known: set[str], n: int | None = None
) -> list[Configuration]:
    """The first `n` candidates that are new: not among the known classes and not named before."""
    chosen: list[Configuration] = []
    seen = set(known)
    for configuration in candidates:
        if n is not None and len(chosen) >= n:
            break
        if configuration.key not in seen:
            seen.add(configuration.key)
            chosen.append(configuration)
    return chosen


def candidates(host: Host, rules: Rules, sampling: Sampling, seed: int) -> Iterator[Configuration]:
    """Configurations under the rules; the same seed gives the same sequence.

    Parameters
    ----------
    sampling : str
        ``random``: drawn without end until hardly anything new comes; ``enumerate``: every class,
        few defects first.

    Raises
    ------
    RuleError
        When the host cannot meet the rules.
    """
    rules.validate_for(host)
    if sampling == "enumerate":
        low, high = rules.number(host)
        for n_defects in range(low, min(high, len(rules.options(host))) + 1):
            yield from enumerate_configurations(host, rules, n_defects)
    elif sampling == "random":
        yield from _random(host, rules, seed)
    else:
        raise RuleError(f"sampling {sampling!r} is neither random nor enumerate")


def _random(host: Host, rules: Rules, seed: int) -> Iterator[Configuration]:
    rng = np.random.default_rng(seed)
    seen: set[str] = set()
    in_vain = 0
    while in_vain < _EXHAUSTED:
        configuration = random_configuration(host, rules, rng)
        if configuration.key in seen:
            in_vain += 1
            continue
        in_vain = 0
        seen.add(configuration.key)
        # The canonical placement where it keeps the rules, else one that does.
        yield rules.place(configuration.canonical()) or configuration
