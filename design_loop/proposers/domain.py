"""What may be proposed: the rules, and with a table as oracle what the table holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from defects.configuration import Configuration
from defects.errors import ConfigError
from defects.hosts import Host
from defects.oracles.table import TableOracle
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import canonical_member

if TYPE_CHECKING:
    from design_loop.campaign.context import Context

#: Draws per wanted configuration after which the space counts as used up.
_PATIENCE = 100
#: Draws outside of the table after which it counts as empty.
_HOPELESS = 100_000


@dataclass(frozen=True)
class Domain:
    """The configurations of a campaign.

    Attributes
    ----------
    host : Host
    rules : Rules
    table : TableOracle or None
        Only what it holds can be verified; a benchmark counts nothing else.
    """

    host: Host
    rules: Rules
    table: TableOracle | None = None

    @classmethod
    def of(cls, context: Context) -> Domain:
        """The domain of a campaign."""
        table = None
        if context.config.oracle.kind == "table":
            oracle = context.oracle.build()
            assert isinstance(oracle, TableOracle)
            table = oracle
        return cls(context.host, context.config.rules, table)

    def labelable(self, configuration: Configuration) -> bool:
        """Whether the oracle could label it."""
        return self.table is None or configuration in self.table

    def __contains__(self, configuration: Configuration) -> bool:
        return self.rules.violation(configuration) is None and self.labelable(configuration)

    def placed(self, configuration: Configuration) -> Configuration:
        """A member where it keeps the rules; what is no member stays as it is."""
        return self.rules.place(configuration) or configuration

    def near(self, configuration: Configuration, rng: np.random.Generator) -> Configuration:
        """A configuration that keeps the rules and has as many of these defects as they allow.

        Itself where it does; the oracle may still not know it.
        """
        placed = self.rules.place(configuration)
        if placed is not None:
            return placed
        return random_configuration(self.host, self.rules, rng, like=configuration)

    def random(self, rng: np.random.Generator) -> Configuration:
        """A random member: by the rules, again until it is one.

        Raises
        ------
        ConfigError
            When the table seems to hold nothing that the rules allow.
        """
        for _ in range(_HOPELESS):
            drawn = random_configuration(self.host, self.rules, rng)
            if drawn in self:
                return drawn
        raise ConfigError(
            f"none of {_HOPELESS} random configurations of the rules is in the oracle's table: "
            "give it a table of what the rules allow"
        )

    @cached_property
    def listed(self) -> tuple[Configuration, ...] | None:
        """Its members one by one where a table names them, each as training shows it; else None."""
        if self.table is None:
            return None
        found = {
            r.configuration.key: canonical_member(r.configuration, self.rules)
            for r in self.table.dataset
            if r.configuration.host == self.host and r.configuration in self
        }
        return tuple(found.values())

    def distinct(
        self,
        n: int,
        rng: np.random.Generator,
        known: Collection[str],
        draw: Callable[[np.random.Generator], Configuration] | None = None,
    ) -> list[Configuration]:
        """Up to n random members of different classes, none of them known.

        Parameters
        ----------
        n : int
        rng : numpy Generator
        known : collection of str
            Keys that are left out.
        draw : callable, optional
            Draws one; by default `random`.

        Returns
        -------
        list of Configuration
            Fewer than n when the space is used up.
        """
        draw = draw or self.random
        found: dict[str, Configuration] = {}
        for _ in range(_PATIENCE * n):
            if len(found) == n:
                break
            drawn = draw(rng)
            if drawn.key not in known:
                found.setdefault(drawn.key, drawn)
        left = self.left(known) if len(found) < n else None
        if left is not None:
            # Draws seldom hit the last rows of a table.
            for i in rng.permutation(len(left)):
                if len(found) == n:
                    break
                found.setdefault(left[i].key, left[i])
        return list(found.values())

    def left(self, known: Collection[str]) -> list[Configuration] | None:
        """Its members that are not known, where a table names them."""
        if self.listed is None:
            return None
        return [c for c in self.listed if c.key not in known]

    def compositions(self, kinds: tuple[str, ...]) -> frozenset[tuple[int, ...]] | None:
        """Counts of each kind that the table holds, or None where anything goes."""
        if self.table is None:
            return None
        counts = (
            r.configuration.counts() for r in self.table.dataset if r.configuration in self.table
        )
        return frozenset(tuple(c[k] for k in kinds) for c in counts if set(c) <= set(kinds))
