"""The pairwise decomposition of a property (Lazarev & Ustyuzhanin).

Energies add up: a term for every defect and half the sum over ordered pairs of an interaction that
vanishes at a large distance. A gap does not: it is set by the pair of defects that narrows it most,
``gap = min over pairs of g_ij(r)``; the LUMO likewise is the lowest, the HOMO the highest level of
any pair.

Here a term is one number per column of `pair_columns`, that is per kinds of two defects and orbit
of the pair of sites (a shell, with what the distance does not tell apart).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from defects.surrogates.pair_kernel import PairOccupancy

Rule = Literal["sum", "min", "max"]
RULES: tuple[Rule, ...] = ("sum", "min", "max")
#: Configurations reduced at a time; bounds the memory.
CHUNK = 4096


@dataclass
class PairwiseTerms:
    """The terms of a decomposition.

    Attributes
    ----------
    rule : {"sum", "min", "max"}
        How the terms of a configuration make its property.
    constant : float
        The property of the pristine crystal; added for ``sum``.
    singles : ndarray, shape (kinds,)
        ``sum``: what a defect adds. Otherwise the property of a defect that is alone.
    pairs : ndarray, shape (columns,)
        ``sum``: what a pair adds. Otherwise the property that a pair would give by itself.
    """

    rule: Rule
    constant: float
    singles: np.ndarray
    pairs: np.ndarray

    def predict(self, occupancy: PairOccupancy) -> np.ndarray:
        """The property of every configuration, shape (n,)."""
        if self.rule == "sum":
            return self.constant + occupancy.counts @ self.singles + occupancy.pairs @ self.pairs
        out = np.empty(len(occupancy))
        for start in range(0, len(out), CHUNK):
            rows = slice(start, start + CHUNK)
            out[rows] = self._extremes(occupancy[rows])
        return out

    def _extremes(self, occupancy: PairOccupancy) -> np.ndarray:
        sign = 1.0 if self.rule == "min" else -1.0
        pairs = np.where(occupancy.pairs > 0, sign * self.pairs, np.inf).min(axis=1, initial=np.inf)
        singles = np.where(occupancy.counts > 0, sign * self.singles, np.inf).min(
            axis=1, initial=np.inf
        )
        number = occupancy.counts.sum(axis=1)
        found = np.where(number > 1, pairs, singles)
        return np.where(number == 0, self.constant, sign * found)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "rule": self.rule,
            "constant": self.constant,
            "singles": self.singles.tolist(),
            "pairs": self.pairs.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], kinds: int, columns: int) -> PairwiseTerms:
        """Inverse of `to_dict`.

        Raises
        ------
        ValueError, KeyError, TypeError
            When the data are no such terms, or of another number of kinds or columns.
        """
        if data["rule"] not in RULES:
            raise ValueError(f"unknown rule {data['rule']!r}")
        singles = np.array(data["singles"], dtype=float)
        pairs = np.array(data["pairs"], dtype=float)
        if singles.shape != (kinds,) or pairs.shape != (columns,):
            raise ValueError(
                f"{singles.size} single and {pairs.size} pair terms, {kinds} and {columns} expected"
            )
        return cls(data["rule"], float(data["constant"]), singles, pairs)
