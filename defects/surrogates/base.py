"""What a surrogate is to the rest of the system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from defects.configuration import Configuration

#: Half width of a nominal 90 % interval in units of the spread.
Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Predictions:
    """Predictions of p properties for n configurations.

    Attributes
    ----------
    mean : ndarray, shape (n, p)
        In the units of the properties.
    std : ndarray, shape (n, p)
        Spread: mean ± 1.645 std is a nominal 90 % interval, calibrated on held-out labels.
    properties : tuple of str, length p
    ood : ndarray of bool, shape (n,)
        True where a configuration lies outside what the surrogate was trained on: for some
        property it has more defects, more of one kind, or fewer in all than any labelled
        configuration had. The spread holds only where this is False.
    """

    mean: np.ndarray
    std: np.ndarray
    properties: tuple[str, ...]
    ood: np.ndarray

    def __len__(self) -> int:
        return len(self.mean)


class Surrogate(Protocol):
    """A cheap model of properties; see `load_surrogate`."""

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the predicted properties."""
        ...

    @property
    def version(self) -> str:
        """Content hash; names which surrogate made a prediction."""
        ...

    @property
    def host_key(self) -> str:
        """`Host.key` of the only host it predicts for."""
        ...

    def predict(self, configurations: Sequence[Configuration]) -> Predictions:
        """Predict all properties."""
        ...
