"""What a dataset holds, in numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from defects.datasets.bundled import resolve_dataset
from defects.datasets.dataset import Dataset
from defects.properties import PROPERTIES


def describe(dataset: Dataset | str | Path) -> dict[str, Any]:
    """Counts and statistics of a dataset as plain data.

    Parameters
    ----------
    dataset : Dataset, str or Path
        A dataset, its folder, or the name of a shipped one.

    Returns
    -------
    dict
        ``source``, ``host``, ``n_sites``, ``structures``, ``labelled`` (rows with any property),
        ``classes`` (under the host's symmetry), ``n_defects`` (number of defects → structures),
        ``defects`` (``V_S`` → structures with one), ``compositions`` (kinds of defect sets),
        ``chemical_potentials``, ``pristine``, and ``properties``: name → ``unit``, ``n``, ``mean``,
        ``std``, ``min``, ``max``.

    Raises
    ------
    DatasetError
        When it cannot be read.
    """
    if not isinstance(dataset, Dataset):
        dataset = resolve_dataset(dataset)
    configurations = [r.configuration for r in dataset]
    sizes = Counter(c.n_defects for c in configurations)
    kinds = Counter(name for c in configurations for name in c.counts())
    return {
        "source": dataset.source,
        "host": dataset.host.key,
        "n_sites": dataset.host.n_sites,
        "structures": len(dataset),
        "labelled": len(dataset.labelled()),
        "classes": len(dataset.by_key),
        "n_defects": {str(n): sizes[n] for n in sorted(sizes)},
        "defects": dict(sorted(kinds.items())),
        "compositions": len({c.description for c in configurations}),
        "chemical_potentials": dict(dataset.chemical_potentials),
        "pristine": dict(dataset.pristine),
        "properties": {name: _statistics(dataset, name) for name in dataset.properties},
    }


def _statistics(dataset: Dataset, name: str) -> dict[str, Any]:
    values = np.array([r.properties[name] for r in dataset.labelled(name)])
    return {
        "unit": PROPERTIES[name].unit if name in PROPERTIES else "",
        "n": len(values),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
    }
