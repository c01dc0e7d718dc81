"""Label-free quantities of a configuration that can stand in a request.

They need no calculation, so a base model can be pretrained on them without property labels: it
learns the digits, the sites and distances before it meets a property.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from defects.configuration import Configuration
from defects.properties import VACANCY


def _pair_distances(configuration: Configuration) -> np.ndarray:
    sites = [d.site for d in configuration.defects]
    i, j = np.triu_indices(len(sites), k=1)
    return configuration.host.distances[np.ix_(sites, sites)][i, j]


def composition(configuration: Configuration) -> str:
    """``Se_S+V_S``: the defects in alphabetical order."""
    return configuration.description


def defect_count(configuration: Configuration) -> int:
    """Number of changed sites."""
    return configuration.n_defects


def vacancy_count(configuration: Configuration) -> int:
    """Number of vacancies."""
    return sum(d.species == VACANCY for d in configuration.defects)


def concentration(configuration: Configuration) -> float:
    """Changed sites per hundred sites."""
    return 100.0 * configuration.n_defects / configuration.host.n_sites


def min_distance(configuration: Configuration) -> float | None:
    """Shortest distance between two defects, Å; None below two defects."""
    pairs = _pair_distances(configuration)
    return float(pairs.min()) if len(pairs) else None


def mean_distance(configuration: Configuration) -> float | None:
    """Mean distance between two defects, Å; None below two defects."""
    pairs = _pair_distances(configuration)
    return float(pairs.mean()) if len(pairs) else None


def vacancy_distance(configuration: Configuration) -> float | None:
    """Shortest distance between two vacancies, Å; None below two vacancies."""
    sites = [d.site for d in configuration.defects if d.species == VACANCY]
    if len(sites) < 2:
        return None
    i, j = np.triu_indices(len(sites), k=1)
    return float(configuration.host.distances[np.ix_(sites, sites)][i, j].min())


def inverse_distance_sum(configuration: Configuration) -> float | None:
    """Σ 1/r over pairs of defects, 1/Å; None below two defects."""
    pairs = _pair_distances(configuration)
    return float((1.0 / pairs).sum()) if len(pairs) else None


#: Name in a request → (unit, function). None means: not defined for this configuration.
DESCRIPTORS: dict[str, tuple[str, Callable[[Configuration], str | int | float | None]]] = {
    "composition": ("", composition),
    "defect_count": ("", defect_count),
    "vacancy_count": ("", vacancy_count),
    "concentration": ("%", concentration),
    "min_distance": ("Å", min_distance),
    "mean_distance": ("Å", mean_distance),
    "vacancy_distance": ("Å", vacancy_distance),
    "inverse_distance_sum": ("1/Å", inverse_distance_sum),
}


def describe(
    configuration: Configuration, names: list[str] | None = None
) -> dict[str, str | int | float]:
    """The descriptors that are defined for a configuration, by name."""
    found = {n: DESCRIPTORS[n][1](configuration) for n in (names or DESCRIPTORS)}
    return {n: v for n, v in found.items() if v is not None}
