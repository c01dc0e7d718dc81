"""A property as a sum over pairs of defects, in the form in which single defects are exchanged.

    value(configuration) = g(composition) + Σ_{a<b} J(orbit of a and b)

All terms are one ridge regression. What exchanging one defect does to the value is then a row of a
table, which is what a Gibbs sampler needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from defects.configuration import Configuration
from defects.encodings.pairs import pair_table
from defects.hosts import Host
from defects.rules import Rules

#: Penalties of the regression, per standardised label, of composition and pair terms.
_RIDGE_COMPOSITION, _RIDGE_PAIRS = 1e-3, 0.1


class Alternatives:
    """Everything that one defect may be: a site and a species.

    Attributes
    ----------
    site, kind : ndarray, shape (a,)
        Site, and index into `kinds`.
    kinds : tuple of str
        Defect names.
    orbit : ndarray, shape (a, a)
        Number of the kind of pair that two alternatives make; -1 on one site.
    n_orbits : int
    """

    def __init__(self, host: Host, rules: Rules) -> None:
        self.host, self.kinds = host, tuple(rules.defects)
        # All sites of the elements: what is known also lies where the rules let nothing stand.
        options = rules.plain.options(host)
        pairs = [(site, species) for site, choices in options.items() for species in choices]
        names = [Configuration.from_changes(host, {s: x}).description for s, x in pairs]
        self.species = [x for _, x in pairs]
        self.site = np.array([s for s, _ in pairs])
        self.kind = np.array([self.kinds.index(name) for name in names])
        self._index = {pair: i for i, pair in enumerate(pairs)}
        table = pair_table(host)
        n = len(self.kinds)
        ordered = (
            table.orbit[np.ix_(self.site, self.site)].astype(np.int64) * n + self.kind[:, None]
        ) * n + self.kind[None, :]
        both = np.minimum(ordered, ordered.T)
        names_, inverse = np.unique(both, return_inverse=True)
        self.orbit = inverse.reshape(both.shape)
        self.orbit[self.site[:, None] == self.site[None, :]] = -1
        self.n_orbits = len(names_)

    def __len__(self) -> int:
        return len(self.site)

    def encode(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Alternatives of every defect, shape (n, m), -1 where there is none."""
        width = max((c.n_defects for c in configurations), default=0)
        out = np.full((len(configurations), max(width, 1)), -1, dtype=np.int64)
        for row, c in zip(out, configurations, strict=True):
            row[: c.n_defects] = [self._index[d.site, d.species] for d in c.defects]
        return out

    def decode(self, row: np.ndarray) -> Configuration:
        """The configuration of a row of `encode`."""
        return Configuration.from_changes(
            self.host, {int(self.site[a]): self.species[a] for a in row if a >= 0}
        )

    def counts(self, codes: np.ndarray) -> np.ndarray:
        """Defects of each kind, shape (n, k)."""
        kinds = np.where(codes >= 0, self.kind[codes], -1)
        return (kinds[:, :, None] == np.arange(len(self.kinds))).sum(axis=1)


def composition_features(counts: np.ndarray) -> np.ndarray:
    """Terms of the composition: counts, which kinds there are, and products of both.

    Parameters
    ----------
    counts : ndarray, shape (..., k)

    Returns
    -------
    ndarray, shape (..., f)
    """
    present = (counts > 0).astype(float)
    terms = [np.ones((*counts.shape[:-1], 1)), counts, present]
    for i, j in combinations_with_replacement(range(counts.shape[-1]), 2):
        terms.append((counts[..., i] * counts[..., j])[..., None])
        if i != j:
            terms.append((present[..., i] * present[..., j])[..., None])
    return np.concatenate(terms, axis=-1)


@dataclass
class PairwiseFormula:
    """A fitted formula of one property.

    Attributes
    ----------
    composition : ndarray, shape (f,)
        Weights of `composition_features`.
    interaction : ndarray, shape (a, a)
        J of every two alternatives; 0 on one site.
    spread : float
        Root mean square leave-one-out error, in the property's unit.
    """

    composition: np.ndarray
    interaction: np.ndarray
    spread: float

    @classmethod
    def fit(
        cls,
        alternatives: Alternatives,
        configurations: Sequence[Configuration],
        values: np.ndarray,
        weights: np.ndarray,
    ) -> PairwiseFormula:
        """Fit to labels.

        Parameters
        ----------
        alternatives : Alternatives
        configurations : sequence of Configuration, n
        values : ndarray, shape (n,)
        weights : ndarray, shape (n,)
            How much each counts; the spread is that of those with the largest weight.
        """
        codes = alternatives.encode(configurations)
        head = composition_features(alternatives.counts(codes))
        tail = np.zeros((len(codes), alternatives.n_orbits))
        for i in range(codes.shape[1]):
            for j in range(i):
                rows = np.flatnonzero((codes[:, i] >= 0) & (codes[:, j] >= 0))
                orbit = alternatives.orbit[codes[rows, i], codes[rows, j]]
                np.add.at(tail, (rows, orbit), 1.0)
        X = np.hstack([head, tail])
        centre, scale = float(values.mean()), float(values.std()) or 1.0
        y = (values - centre) / scale
        penalty = np.repeat([_RIDGE_COMPOSITION, _RIDGE_PAIRS], [head.shape[1], tail.shape[1]])
        gram = X.T @ (X * weights[:, None]) + np.diag(penalty)
        solved = np.linalg.solve(gram, X.T * weights)
        w = solved @ y
        leverage = np.einsum("ij,ji->i", X, solved)
        errors = (y - X @ w) / np.maximum(1 - leverage, 0.05)
        real = weights == weights.max()
        composition = w[: head.shape[1]] * scale
        composition[0] += centre
        pairs = np.append(w[head.shape[1] :] * scale, 0.0)  # the last one serves orbit -1
        return cls(
            composition,
            pairs[alternatives.orbit],
            float(np.sqrt(np.mean(errors[real] ** 2))) * scale,
        )

    def predict(self, alternatives: Alternatives, codes: np.ndarray) -> np.ndarray:
        """Values of encoded configurations, shape (n,)."""
        total = composition_features(alternatives.counts(codes)) @ self.composition
        for i in range(codes.shape[1]):
            for j in range(i):
                both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
                total += np.where(both, self.interaction[codes[:, i], codes[:, j]], 0.0)
        return total
