"""What a model learns in place of a property: the extensive quantity behind it.

Formation energies add up over defects, formation energies per defect do not. A model of the total
sees a sum of pair terms; the division by the number of defects (or atoms) is exact and comes after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from defects.configuration import Configuration
from defects.properties import VACANCY

#: Properties that are linear in the numbers of defects to lowest order, whatever the pristine
#: crystal has, and those that also vanish without defects.
LINEAR = frozenset({"energy", "energy_per_atom", "formation_energy", "formation_energy_per_site"})
VANISHING = frozenset({"formation_energy", "formation_energy_per_site"})


def divisor(name: str, configurations: Sequence[Configuration]) -> np.ndarray:
    """By what the modelled quantity is divided to give the property, shape (n,)."""
    if name == "formation_energy_per_site":
        return np.array([max(c.n_defects, 1) for c in configurations], dtype=float)
    if name == "energy_per_atom":
        return np.array(
            [c.host.n_sites - sum(d.species == VACANCY for d in c.defects) for c in configurations],
            dtype=float,
        )
    return np.ones(len(configurations))


def baseline_columns(name: str, counts: np.ndarray) -> np.ndarray:
    """Columns of the linear baseline.

    Counts where the property is linear in them; a constant where it does not vanish without
    defects. (With a constant, labels that all have three defects would leave open what one costs.)

    Parameters
    ----------
    name : str
    counts : ndarray, shape (n, kinds)

    Returns
    -------
    ndarray, shape (n, c)
    """
    columns = [] if name in VANISHING else [np.ones((len(counts), 1))]
    return np.concatenate([*columns, counts] if name in LINEAR else columns, axis=1)
