"""Local moves: neighbours of a configuration under the rules."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from defects.configuration import Configuration
from defects.hosts import Host
from defects.rules import Rules

#: Moves tried before a configuration counts as without neighbours.
_TRIES = 60


class Moves:
    """Draws neighbours: a defect moved, exchanged, added or taken away.

    Parameters
    ----------
    host : Host
    rules : Rules
    allowed : container of Configuration
        Only neighbours that are in it count.
    """

    def __init__(self, host: Host, rules: Rules, allowed: Container[Configuration]) -> None:
        self.host, self.rules, self.allowed = host, rules, allowed
        self._options = rules.options(host)
        self._sites = np.array(sorted(self._options))

    def neighbour(
        self, configuration: Configuration, rng: np.random.Generator
    ) -> Configuration | None:
        """A random neighbour, or None where none was found."""
        for _ in range(_TRIES):
            changes = dict(configuration.changes)
            kind = rng.random()
            if kind < 0.15 and len(changes) < self.rules.max_defects:
                self._place(changes, rng)
            elif kind < 0.3 and len(changes) > self.rules.min_defects:
                del changes[self._one(changes, rng)]
            else:
                moved = self._one(changes, rng)
                species = changes.pop(moved)
                # Mostly the same defect elsewhere; else another one, there or elsewhere.
                self._place(changes, rng, species if kind < 0.8 else None)
            found = Configuration.from_changes(self.host, changes)
            if found.changes != configuration.changes and found in self.allowed:
                return found
        return None

    def _one(self, changes: dict[int, str], rng: np.random.Generator) -> int:
        sites = sorted(changes)
        return sites[int(rng.integers(len(sites)))]

    def _place(
        self, changes: dict[int, str], rng: np.random.Generator, species: str | None = None
    ) -> None:
        """Put a defect on a free site; without a species any of those allowed there."""
        while True:
            site = int(self._sites[int(rng.integers(len(self._sites)))])
            if site in changes:
                continue
            choices = self._options[site]
            if species is None:
                changes[site] = choices[int(rng.integers(len(choices)))]
                return
            if species in choices:
                changes[site] = species
                return
