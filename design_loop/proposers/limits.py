"""Rules beyond the plain ones, in the form in which Gibbs chains exchange single defects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from defects.configuration import Configuration
from defects.rules import RuleSet
from design_loop.proposers.pairwise import Alternatives


class Limits:
    """What may stand in a slot, given all others.

    Chains start from members of the rules, and a change of one slot that breaks none leaves a
    member.

    Parameters
    ----------
    rules : RuleSet
    alternatives : Alternatives
    """

    def __init__(self, rules: RuleSet, alternatives: Alternatives) -> None:
        self._rules, self._alternatives = rules, alternatives
        pairs = zip(alternatives.site.tolist(), alternatives.species, strict=True)
        kind = np.array([rules.coded({s: x})[0][1] for s, x in pairs])
        site = alternatives.site
        self._closed = ~rules.allowed[site, kind]
        self._near: np.ndarray | None = None
        if rules.needed.any():
            self._near = rules.distance[np.ix_(site, site)] < rules.needed[np.ix_(kind, kind)]
        groups = rules.groups[1:]
        #: Members of each group, and last that an empty slot is in none; shape (g, a + 1).
        self._member = np.zeros((len(groups), len(site) + 1), dtype=int)
        for row, group in zip(self._member, groups, strict=True):
            row[:-1] = group.mask[site, kind]
        self._low = np.array([g.low for g in groups], dtype=int)
        self._high = np.array([g.high for g in groups], dtype=int)

    def broken(self, others: np.ndarray, there: np.ndarray) -> np.ndarray:
        """States of a slot that break a rule, shape (n, a + 1); the last is the empty slot.

        Parameters
        ----------
        others : ndarray of int, shape (n, m)
            Alternatives of the other slots, -1 for an empty one.
        there : ndarray of bool, shape (n, m)
            Which are not empty.
        """
        broken = np.zeros((len(others), len(self._closed) + 1), dtype=bool)
        broken[:, :-1] = self._closed
        if self._near is not None and others.shape[1]:
            broken[:, :-1] |= (self._near[others] & there[:, :, None]).any(axis=1)
        for member, low, high in zip(self._member, self._low, self._high, strict=True):
            after = (member[others] * there).sum(axis=1)[:, None] + member
            broken |= (after < low) | (after > high)
        return broken

    def fixed(self, start: Sequence[Configuration], codes: np.ndarray) -> np.ndarray:
        """Slots that hold a seed's defects and stay, shape of `codes`."""
        fixed = np.zeros(codes.shape, dtype=bool)
        for row, chain, c in zip(fixed, codes, start, strict=True):
            seeds = self._rules.contained(c.changes)
            sites = set(seeds[0]) if seeds else set()
            row[:] = [a >= 0 and int(self._alternatives.site[a]) in sites for a in chain]
        return fixed
