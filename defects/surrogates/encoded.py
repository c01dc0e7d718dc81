"""A batch of configurations in the forms that the models read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from defects.configuration import Configuration
from defects.encodings.arrays import defect_arrays
from defects.encodings.sparse import SparseEncoder
from defects.surrogates.pair_kernel import PairOccupancy, pair_occupancy
from defects.surrogates.scaling import baseline_columns, divisor


class Encoded:
    """Configurations with their features and pair occupancies, each computed once when needed.

    Raises
    ------
    ModelError
        When a configuration is on another host or has a defect outside the vocabulary.
    """

    def __init__(self, configurations: Sequence[Configuration], encoder: SparseEncoder) -> None:
        self.configurations = list(configurations)
        self.encoder = encoder
        self.arrays = defect_arrays(self.configurations, encoder.host, encoder.defects)

    def __len__(self) -> int:
        return len(self.configurations)

    @cached_property
    def features(self) -> np.ndarray:
        """Shape (n, d), float32."""
        return self.encoder.encode(self.arrays)

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of each defect, shape (n, kinds)."""
        return self.arrays.counts(len(self.encoder.defects))

    @cached_property
    def occupancy(self) -> PairOccupancy:
        return pair_occupancy(self.arrays, self.encoder.host, self.encoder.defects)

    def divisor(self, name: str) -> np.ndarray:
        """By what the modelled quantity of a property is divided, shape (n,)."""
        return divisor(name, self.configurations)

    def baseline(self, name: str) -> np.ndarray:
        """Columns of a property's linear baseline, shape (n, c)."""
        return baseline_columns(name, self.counts)
