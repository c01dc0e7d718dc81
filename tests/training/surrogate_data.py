"""A made-up dataset with a gap for all structures and levels for some, small and quick to fit."""

from __future__ import annotations

import numpy as np

from defects.configuration import Configuration
from defects.datasets.dataset import Dataset, Record
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration

HOST = get_host("MoS2", (3, 3, 1))
RULES = Rules(defects=("V_S", "W_Mo", "Se_S"), min_defects=1, max_defects=3)


def gap(configuration: Configuration) -> float:
    """Falls by jumps that trees learn and that a smooth model needs many labels for, eV."""
    counts = configuration.counts()
    sites = [d.site for d in configuration.defects]
    pairs = HOST.distances[np.ix_(sites, sites)][np.triu_indices(len(sites), 1)]
    near = bool(len(pairs)) and float(pairs.min()) < 3.3
    return 1.7 - 0.5 * (counts["V_S"] > 0) - 0.2 * near + 0.01 * counts["W_Mo"]


def homo(configuration: Configuration) -> float:
    """Depends on the composition alone, eV."""
    return -0.03 * configuration.counts()["Se_S"] - 0.01 * configuration.n_defects


def dataset(n: int = 90, with_levels: int = 30, seed: int = 0) -> Dataset:
    """n different structures; the first have ``lumo`` beside the gap."""
    rng = np.random.default_rng(seed)
    found: dict[str, Configuration] = {}
    while len(found) < n:
        one = random_configuration(HOST, RULES, rng)
        found.setdefault(one.key, one)
    records = []
    for number, configuration in enumerate(found.values()):
        properties = {"homo_lumo_gap": gap(configuration)}
        if number < with_levels:
            properties["lumo"] = homo(configuration) + gap(configuration)
        records.append(Record(f"s{number}", configuration, properties))
    return Dataset(HOST, tuple(records))
