"""How different the answers of a round are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass

import numpy as np

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.hosts import Host
from defects.rules import Rules

#: Most configurations whose distances are looked at: n² numbers, and the mean is known well enough.
MOST = 256


@dataclass(frozen=True)
class Diversity:
    """Measures of the valid answers of a round.

    Attributes
    ----------
    valid : int
        Answers that are configurations, known ones among them.
    unique : float
        Share of different crystals (canonical keys) among them.
    compositions : float
        Effective number of compositions: exponential of the Shannon entropy of their shares (the
        Hill number of order 1; Hill 1973).
    distance : float
        Mean distance of two answers in sparse features, in standard deviations of the dataset;
        0 between two answers that are the same crystal.
    repeated : float
        Share that an earlier round has proposed already.
    """

    valid: int
    unique: float
    compositions: float
    distance: float
    repeated: float

    def to_dict(self) -> dict[str, float]:
        """Plain data for the ledger."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


class Ruler:
    """Distances in sparse features on a scale that does not change between rounds.

    Parameters
    ----------
    host : Host
    rules : Rules
        Their defects are the features' vocabulary.
    dataset : sequence of Configuration
        Sets the unit of every feature: one standard deviation.
    """

    def __init__(self, host: Host, rules: Rules, dataset: Sequence[Configuration]) -> None:
        self._encoder = SparseEncoder(host, rules.defects, rules.max_defects)
        known = set(self._encoder.defects)
        usable = [c for c in dataset if set(c.counts()) <= known][: 4 * MOST]
        spread = self._features(usable).std(axis=0) if len(usable) > 1 else np.ones(1)
        # A feature that never varies in the dataset has no unit; its own stands.
        self._unit = np.where(spread > 1e-9, spread, 1.0)

    def mean_distance(self, configurations: Sequence[Configuration]) -> float:
        """Mean over all pairs; 0 for fewer than two."""
        if len(configurations) < 2:
            return 0.0
        rows = self._features(configurations) / self._unit
        squares = (rows**2).sum(axis=1)
        n = len(rows)
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0.0))
        np.fill_diagonal(distances, 0.0)
        return float(distances.sum() / (n * (n - 1)))

    def _features(self, configurations: Sequence[Configuration]) -> np.ndarray:
        rows = np.asarray(self._encoder.transform(configurations), dtype=float)
        return np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)


def measure(
    valid: Sequence[Configuration],
    earlier: Set[str],
    ruler: Ruler,
    rng: np.random.Generator,
) -> Diversity:
    """Measure a round.

    Parameters
    ----------
    valid : sequence of Configuration
        All its answers that are configurations, repeats included.
    earlier : set of str
        Keys that earlier rounds proposed.
    ruler : Ruler
    rng : numpy Generator
        Chooses those whose distances are looked at, where there are many.
    """
    n = len(valid)
    if n == 0:
        return Diversity(0, 0.0, 0.0, 0.0, 0.0)
    keys = [c.key for c in valid]
    shares = np.array(list(Counter(c.description for c in valid).values())) / n
    looked = valid if n <= MOST else [valid[i] for i in rng.choice(n, MOST, replace=False)]
    return Diversity(
        valid=n,
        unique=len(set(keys)) / n,
        compositions=math.exp(-float((shares * np.log(shares)).sum())),
        distance=ruler.mean_distance(looked),
        repeated=sum(key in earlier for key in keys) / n,
    )
