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
#: Draws outside of the table after which one of its rows is taken.
_SELDOM = 1000


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
        """A random member: by the rules, again until it is one; any row of a table seldom met.

        Raises
        ------
        ConfigError
            When the table holds nothing that the rules allow.
        """
        for _ in range(_SELDOM):
            drawn = random_configuration(self.host, self.rules, rng)
            if drawn in self:
                return drawn
        if not self.listed:
            raise ConfigError(
                "the oracle's table holds no configuration that the rules allow: give it a table "
                "of what they allow"
            )
        return self.listed[int(rng.integers(len(self.listed)))]

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
        left = self.left(known)
        if left is not None and len(left) <= n:
            # Draws seldom hit the last rows of a table.
            return [left[i] for i in rng.permutation(len(left))]
        draw = draw or self.random
        found: dict[str, Configuration] = {}
        for _ in range(_PATIENCE * n):
            if len(found) == n:
                break
            drawn = draw(rng)
            if drawn.key not in known:
                found.setdefault(drawn.key, drawn)
        if left is not None and len(found) < n:
            rest = [c for c in left if c.key not in found]
            for i in rng.permutation(len(rest))[: n - len(found)]:
                found[rest[i].key] = rest[i]
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
