"""A fitted Gaussian process on pairs: its training configurations and their weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from defects.encodings.arrays import DefectArrays
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.pair_kernel import (
    PairKernel,
    PairKernelSettings,
    PairOccupancy,
    pair_occupancy,
)

#: Rows of the covariance computed at a time; bounds the memory.
CHUNK = 1024
_FILE = "pairs.json"


@dataclass
class PairModel:
    """A Gaussian process whose covariance is a `PairKernel`.

    Attributes
    ----------
    encoder : SparseEncoder
        Host and vocabulary.
    settings : PairKernelSettings
    arrays : DefectArrays
        The n training configurations.
    weights : ndarray, shape (n,)
        Weights of the covariances with the training configurations.
    """

    space: ClassVar[Literal["z", "total"]] = "z"
    ensemble: ClassVar[bool] = False

    encoder: SparseEncoder
    settings: PairKernelSettings
    arrays: DefectArrays
    weights: np.ndarray

    @cached_property
    def _kernel(self) -> PairKernel:
        return PairKernel(self.encoder.host, self.encoder.defects, self.settings)

    @cached_property
    def training(self) -> PairOccupancy:
        """Occupancies of the training configurations."""
        return pair_occupancy(self.arrays, self.encoder.host, self.encoder.defects)

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean for every configuration, shape (n,)."""
        return self.mean(batch.occupancy)

    def mean(self, occupancy: PairOccupancy) -> np.ndarray:
        """Mean for every row of occupancies, shape (n,)."""
        out = np.empty(len(occupancy))
        for start in range(0, len(occupancy), CHUNK):
            rows = slice(start, start + CHUNK)
            out[rows] = self._kernel.matrix(occupancy[rows], self.training) @ self.weights
        return out

    def save(self, folder: Path) -> None:
        """One JSON file."""
        (folder / _FILE).write_text(json.dumps(self.to_dict()))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> PairModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the file is no such model.
        """
        try:
            return cls.from_dict(json.loads((folder / _FILE).read_text()), encoder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable pair model: {error!r}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        defects = [
            [[int(s), int(k)] for s, k in zip(sites, kinds, strict=True) if k >= 0]
            for sites, kinds in zip(self.arrays.sites, self.arrays.kinds, strict=True)
        ]
        return {
            "settings": self.settings.to_dict(),
            "configurations": defects,
            "weights": self.weights.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], encoder: SparseEncoder) -> PairModel:
        """Inverse of `to_dict`."""
        rows = data["configurations"]
        width = max((len(r) for r in rows), default=1) or 1
        sites = np.zeros((len(rows), width), dtype=np.int64)
        kinds = np.full((len(rows), width), -1, dtype=np.int64)
        for number, row in enumerate(rows):
            for slot, (site, kind) in enumerate(row):
                sites[number, slot], kinds[number, slot] = site, kind
        return cls(
            encoder,
            PairKernelSettings(**data["settings"]),
            DefectArrays(sites, kinds),
            np.array(data["weights"], dtype=float),
        )
