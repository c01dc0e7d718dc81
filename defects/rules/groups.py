"""Limits on numbers of defects: in all, of a kind, on an element or a sublattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from defects.errors import RuleError
from defects.hosts import Host
from defects.rules.places import sublattices
from defects.rules.schema import ALL, Rules, share_of


@dataclass(frozen=True)
class Group:
    """So many defects of some alternatives.

    Attributes
    ----------
    name : str
        For people: ``V_S``, ``defects on S1``.
    rule : str
        Field of `Rules` that it comes from.
    family : str
        Groups of one family have no alternative in common.
    mask : ndarray of bool, shape (n_sites, n_kinds)
    low, high : int
    """

    name: str
    rule: str
    family: str
    mask: np.ndarray
    low: int
    high: int

    def problem(self, n: int) -> str | None:
        """What is wrong with so many."""
        if self.low <= n <= self.high:
            return None
        by = f"{self.low - n} too few" if n < self.low else f"{n - self.high} too many"
        if self.rule == "defects":
            return f"{n} defects, allowed are {self.low} to {self.high}"
        return f"{self.rule}: {n} {self.name}, allowed are {self.low} to {self.high} ({by})"


def groups_of(
    rules: Rules, host: Host, kinds: tuple[str, ...], possible: np.ndarray
) -> tuple[Group, ...]:
    """All limits of rules on a host, the total first.

    Parameters
    ----------
    kinds : tuple of str
        Defect names, in the order of the masks' columns.
    possible : ndarray of bool, shape (n_sites, n_kinds)
        Kinds by the elements of the sites.

    Raises
    ------
    RuleError
        When a share is of sites that the host does not have.
    """
    low, high = rules.number(host)
    found = [Group("defects", "defects", "total", possible, low, high)]
    for name, (low, high) in rules.counts.items():
        mask = possible & (np.arange(len(kinds)) == kinds.index(name))
        found.append(Group(name, "counts", "kind", mask, low, high))
    labels = sublattices(host)
    for name, share in rules.concentration.items():
        if name == ALL:
            continue
        if name in host.species:
            family, here = "element", np.array(host.species) == name
        elif name in labels:
            family, here = "sublattice", host.sublattice == labels.index(name)
        else:
            raise RuleError(
                f"concentration: {host.name} has no {name}: write all, "
                f"{', '.join(sorted(set(host.species)))} or {', '.join(labels)}"
            )
        low, high = share_of(share, int(here.sum()))
        mask = possible & here[:, None]
        words = f"defects on {name}"
        found.append(Group(words, "concentration", family, mask, low, high))
    return tuple(found)
