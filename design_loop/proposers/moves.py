"""Local moves: neighbours of a configuration under the rules."""

from __future__ import annotations

from collections.abc import Collection, Container
from typing import TYPE_CHECKING

import numpy as np

from defects.configuration import Configuration
from defects.hosts import Host
from defects.rules import Rules

if TYPE_CHECKING:
    from design_loop.proposers.domain import Domain

#: Moves tried before a configuration counts as without neighbours.
_TRIES = 60
#: Steps of a walk away from what is known.
_WALK = 40


class Moves:
    """Draws neighbours: a defect moved, exchanged, added or taken away.

    Parameters
    ----------
    host : Host
    rules : Rules
        Defects are put where these have room for them, and a seed's own stay.
    allowed : container of Configuration
        Only neighbours that are in it count.
    """

    def __init__(self, host: Host, rules: Rules, allowed: Container[Configuration]) -> None:
        self.host, self.rules, self.allowed = host, rules, allowed
        self._ours = rules.on(host)
        self._low, self._high = rules.number(host)

    def neighbour(
        self, configuration: Configuration, rng: np.random.Generator
    ) -> Configuration | None:
        """A random neighbour, or None where none was found."""
        start = (self.rules.place(configuration) or configuration).changes
        seeds = self._ours.contained(start)
        for _ in range(_TRIES):
            changes = dict(start)
            kept = seeds[int(rng.integers(len(seeds)))] if len(seeds) > 1 else dict(*seeds)
            loose = sorted(set(changes) - set(kept))
            kind = rng.random()
            if kind < 0.15 and len(changes) < self._high:
                placed = self._place(changes, rng)
            elif not loose:
                continue
            elif kind < 0.3 and len(changes) > self._low:
                del changes[loose[int(rng.integers(len(loose)))]]
                placed = True
            else:
                species = changes.pop(loose[int(rng.integers(len(loose)))])
                # Mostly the same defect elsewhere; else another one, there or elsewhere.
                placed = self._place(changes, rng, species if kind < 0.8 else None)
            if not placed or changes == start:
                continue
            found = Configuration.from_changes(self.host, changes)
            if found in self.allowed:
                return found
        return None

    def _place(
        self, changes: dict[int, str], rng: np.random.Generator, species: str | None = None
    ) -> bool:
        """Put a defect on a site that the rules leave open; of any kind without a species."""
        ours = self._ours
        open_ = ours.open(changes)
        if species is not None:
            of_species = np.array([s == species for s in ours.species])
            open_ &= of_species[ours.kind]
        sites = np.unique(ours.site[open_])
        if not len(sites):
            return False
        site = int(sites[int(rng.integers(len(sites)))])
        kinds = ours.kind[open_ & (ours.site == site)]
        changes[site] = ours.species[int(kinds[int(rng.integers(len(kinds)))])]
        return True


def new_near(
    start: Configuration,
    domain: Domain,
    known: Collection[str],
    rng: np.random.Generator,
) -> Configuration | None:
    """A member of the domain that is not known: the start, what a walk comes to, or any.

    Parameters
    ----------
    start : Configuration
        Where the walk begins; it may lie outside of the domain.
    domain : Domain
    known : collection of str
        Keys that are left out.
    rng : numpy Generator

    Returns
    -------
    Configuration or None
        None where the space is used up.
    """
    moves, here = Moves(domain.host, domain.rules, domain), start
    for _ in range(_WALK):
        if here in domain and here.key not in known:
            return here
        # Over known neighbours, too, so that also a crowded place is left.
        here = moves.neighbour(here, rng) or start
    return next(iter(domain.distinct(1, rng, known)), None)
