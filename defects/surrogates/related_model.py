"""A Gaussian process on pairs that also reads what another model predicts of a related property.

Where a related property has many more labels (the gap, of a LUMO), its prediction carries what
they taught. It enters linearly, with a slope that all compositions share and one that similar
compositions share, both with a Gaussian prior, so a relation that does not hold costs nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.mean_model import MeanModel
from defects.surrogates.pair_kernel import PairKernel, PairOccupancy
from defects.surrogates.pair_model import CHUNK, PairModel

_FILE = "related.json"
_RELATED_FOLDER = "related"


@dataclass(frozen=True)
class Slopes:
    """Prior of the slopes of the related property.

    Attributes
    ----------
    mean : float
        What the slope is expected to be.
    shared : float
        Standard deviation of the slope that all compositions share.
    own : float
        Standard deviation of what a composition's slope differs by.
    """

    mean: float
    shared: float
    own: float

    def matrix(self, left: np.ndarray, right: np.ndarray, same: np.ndarray) -> np.ndarray:
        """Covariance that the slopes add, shape (n, m); `same` is `PairKernel.same`."""
        return np.outer(left, right) * (self.shared**2 + self.own**2 * same)


@dataclass
class RelatedModel:
    """The process, and the model of the related property.

    Attributes
    ----------
    related : MeanModel
    pairs : PairModel
        Settings, training configurations and weights.
    levels : ndarray, shape (n,)
        Standardised predictions of the related property for the training configurations, by
        models that did not see them.
    shift, width : float
        Of the standardisation.
    slopes : Slopes
    """

    space: ClassVar[Literal["z", "total"]] = "z"
    ensemble: ClassVar[bool] = False

    related: MeanModel
    pairs: PairModel
    levels: np.ndarray
    shift: float
    width: float
    slopes: Slopes

    @cached_property
    def _kernel(self) -> PairKernel:
        return PairKernel(self.pairs.encoder.host, self.pairs.encoder.defects, self.pairs.settings)

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean for every configuration, shape (n,)."""
        levels = (self.related.predict(batch, threads) - self.shift) / self.width
        out = np.empty(len(batch))
        for start in range(0, len(batch), CHUNK):
            rows = slice(start, start + CHUNK)
            out[rows] = self._covariance(batch.occupancy[rows], levels[rows]) @ self.pairs.weights
        return out + self.slopes.mean * levels

    def _covariance(self, occupancy: PairOccupancy, levels: np.ndarray) -> np.ndarray:
        training = self.pairs.training
        same = self._kernel.same(occupancy, training)
        return self._kernel.matrix(occupancy, training) + self.slopes.matrix(
            levels, self.levels, same
        )

    def save(self, folder: Path) -> None:
        """The process in this folder, the related model in one of its own."""
        (folder / _RELATED_FOLDER).mkdir()
        self.related.save(folder / _RELATED_FOLDER)
        self.pairs.save(folder)
        data = {
            "levels": self.levels.tolist(),
            "shift": self.shift,
            "width": self.width,
            "slopes": asdict(self.slopes),
        }
        (folder / _FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> RelatedModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no such model.
        """
        pairs = PairModel.load(folder, encoder)
        try:
            data = json.loads((folder / _FILE).read_text())
            return cls(
                MeanModel.load(folder / _RELATED_FOLDER, encoder),
                pairs,
                np.array(data["levels"], dtype=float),
                float(data["shift"]),
                float(data["width"]),
                Slopes(**{name: float(value) for name, value in data["slopes"].items()}),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable model: {error!r}") from error
