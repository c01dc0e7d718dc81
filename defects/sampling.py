"""Random and enumerated configurations under rules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np

from defects.configuration import Configuration
from defects.hosts import Host
from defects.rules import Rules


def random_configuration(
    host: Host, rules: Rules, rng: np.random.Generator, n_defects: int | None = None
) -> Configuration:
    """A configuration drawn from the rules.

    The number of defects is uniform in the allowed range (or given), the kinds are uniform over
    the allowed defects, the sites uniform over the sites of each kind. Kinds first: drawn by site,
    a rare sublattice would hardly ever change.
    """
    options = rules.options(host)
    by_element: dict[str, list[int]] = {}
    for site in options:
        by_element.setdefault(host.species[site], []).append(site)
    kinds = [(was, now) for was, nows in rules.allowed().items() for now in nows]
    high = min(rules.max_defects, len(options))
    n = n_defects or int(rng.integers(rules.min_defects, high + 1))
    changes: dict[int, str] = {}
    while len(changes) < n:
        was, now = kinds[int(rng.integers(len(kinds)))]
        free = [s for s in by_element[was] if s not in changes]
        if free:
            changes[free[int(rng.integers(len(free)))]] = now
    return Configuration.from_changes(host, changes)


def enumerate_configurations(host: Host, rules: Rules, n_defects: int) -> Iterator[Configuration]:
    """Every class of configurations with exactly `n_defects` defects, one representative each.

    Grows as the number of sites to the power of `n_defects`; meant for one to three.
    """
    options = rules.options(host)
    seen: set[str] = set()
    # Every class has a member on a site that is the smallest of its orbit.
    orbits = {int(host.symmetry[:, s].min()) for s in options}
    for sites in combinations(options, n_defects):
        if orbits.isdisjoint(sites):
            continue
        for species in product(*(options[s] for s in sites)):
            configuration = Configuration.from_changes(host, dict(zip(sites, species, strict=True)))
            if configuration.key not in seen:
                seen.add(configuration.key)
                yield configuration.canonical()
