"""Random and enumerated configurations under rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product

import numpy as np

from defects.configuration import Configuration
from defects.errors import RuleError
from defects.hosts import Host
from defects.rules import Rules, RuleSet
from defects.rules.tight import NODES, GaveUp, solve

#: Dead ends after which an integer program takes over.
_TRIES = 64


def random_configuration(
    host: Host,
    rules: Rules,
    rng: np.random.Generator,
    n_defects: int | None = None,
    like: Configuration | None = None,
) -> Configuration:
    """A configuration drawn from the rules; it keeps them where it lies.

    The number of defects is uniform in the allowed range (or given), the kinds are uniform over
    the allowed defects, the sites uniform over the sites of each kind. Kinds first: drawn by site,
    a rare sublattice would hardly ever change. Defects are added one by one where no rule is in
    the way, and what the rules still ask for is kept room for; a dead end begins anew with another
    number, so where room is short small numbers are more frequent. Rules that this hardly ever
    meets are left to an integer program with random weights (`defects.rules.tight`).

    Parameters
    ----------
    host : Host
    rules : Rules
    rng : numpy Generator
    n_defects : int, optional
    like : Configuration, optional
        As many of its defects are kept, where they lie, as the rules leave room for.

    Raises
    ------
    RuleError
        When no configuration meets the rules, or none was found.
    """
    ours = rules.on(host)
    if n_defects is None and like is not None:
        low, high = numbers(ours)
        n_defects = min(max(like.n_defects, low), high)
    for _ in range(_TRIES):
        changes = attempt(ours, rng, n_defects, like.changes if like is not None else None)
        if changes is not None:
            return Configuration.from_changes(host, changes)
    try:
        changes = solve(ours, rng, n_defects)
    except GaveUp:
        raise RuleError(
            f"the rules are too tight: no configuration found on {host.key} in {_TRIES} tries and "
            f"{NODES} steps of a search; loosen them"
        ) from None
    if changes is None:
        ours.require_feasible()
        raise RuleError(f"no configuration with {n_defects} defects keeps the rules on {host.key}")
    return Configuration.from_changes(host, changes)


def numbers(rules: RuleSet) -> tuple[int, int]:
    """Fewest and most defects that are worth a try."""
    total = rules.groups[0]
    low = max([total.low, *(len(seed) for seed in rules.seeds if len(rules.seeds) == 1)])
    return low, min(total.high, len(rules.options))


def attempt(
    rules: RuleSet,
    rng: np.random.Generator,
    n_defects: int | None = None,
    like: Mapping[int, str] | None = None,
) -> dict[int, str] | None:
    """Add defects one by one up to a number; None at a dead end."""
    low, high = numbers(rules)
    n = n_defects or int(rng.integers(low, max(low, high) + 1))
    seed = 0 if len(rules.seeds) == 1 else int(rng.integers(len(rules.seeds)))
    changes = dict(rules.seeds[seed])
    for site in rng.permutation(sorted(like)) if like else ():
        open_ = rules.open(changes)
        fits = (rules.site == site) & open_
        fits &= np.array([rules.species[k] == like[site] for k in rules.kind])
        if len(changes) < n and fits.any():
            changes[int(site)] = like[site]
    while len(changes) < n:
        choices = rules.open(changes)
        if len(rules.groups) > 1:
            choices &= _urgent(rules, changes, n)
        kinds = np.flatnonzero(np.bincount(rules.kind[choices]))
        if not len(kinds):
            return None
        kind = int(kinds[int(rng.integers(len(kinds)))])
        sites = rules.site[choices & (rules.kind == kind)]
        changes[int(sites[int(rng.integers(len(sites)))])] = rules.species[kind]
    if rules.rules.is_plain:
        return changes
    if n_defects is not None and len(changes) != n_defects:
        return None  # a seed that is larger
    return changes if rules.as_placed(changes) is None else None


def _urgent(rules: RuleSet, changes: Mapping[int, str], n: int) -> np.ndarray:
    """Alternatives to choose from: all, or where no more room is left, what is asked for.

    Groups of one family have nothing in common, so what they lack adds up.
    """
    everything = np.ones(len(rules.site), dtype=bool)
    codes = rules.coded(changes)
    lacking: dict[str, int] = {}
    wanted: dict[str, np.ndarray] = {}
    for group in rules.groups[1:]:
        missing = group.low - sum(bool(group.mask[s, k]) for s, k in codes)
        if missing > 0:
            lacking[group.family] = lacking.get(group.family, 0) + missing
            mask = group.mask[rules.site, rules.kind]
            wanted[group.family] = wanted.get(group.family, ~everything) | mask
    for family, missing in lacking.items():
        if missing >= n - len(changes):
            everything &= wanted[family]
    return everything


def enumerate_configurations(host: Host, rules: Rules, n_defects: int) -> Iterator[Configuration]:
    """Every class of configurations with exactly `n_defects` defects, one representative each.

    The canonical one where it keeps the rules, else a placement that does. Grows as the number of
    sites to the power of `n_defects`; meant for one to three.
    """
    ours = rules.on(host)
    options = rules.options(host)
    seen: set[str] = set()
    # Every class has a member on a site that is the smallest of its orbit; but the rules may be
    # about particular sites, and then that member may not be the one that keeps them.
    orbits = {int(host.symmetry[:, s].min()) for s in options}
    for sites in combinations(options, n_defects):
        if not ours.site_specific and orbits.isdisjoint(sites):
            continue
        for species in product(*(options[s] for s in sites)):
            changes = dict(zip(sites, species, strict=True))
            if not rules.is_plain and ours.as_placed(changes) is not None:
                continue
            configuration = Configuration.from_changes(host, changes)
            if configuration.key not in seen:
                seen.add(configuration.key)
                canonical = configuration.canonical()
                yield canonical if rules.is_plain else rules.place(canonical) or configuration
