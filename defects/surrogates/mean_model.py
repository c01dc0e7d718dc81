"""The mean of one property: what a kind fitted, and the baseline and scale around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.kinds import FoldEnsemble, KindModel, model_class

_FILE = "mean.json"
#: Folder of the kind's own files.
_KIND_FOLDER = "kind"


@dataclass
class MeanModel:
    """Predicts one property.

    Attributes
    ----------
    name, kind : str
    baseline : ndarray, shape (folds + 1, c)
        Coefficients of the linear baseline per fold; the last row is that of all labels.
    scale : float
        Of ``z = (value * divisor - baseline) / scale``.
    model : KindModel
        What the kind fitted.
    """

    name: str
    kind: str
    baseline: np.ndarray
    scale: float
    model: KindModel

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean, shape (n,), in the property's unit."""
        total = self.model.predict(batch, threads)
        if self.model.space == "z":
            rows = self.baseline[:-1] if self.model.ensemble else self.baseline[-1:]
            total = batch.baseline(self.name) @ rows.mean(axis=0) + self.scale * total
        return total / batch.divisor(self.name)

    def by_fold(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Prediction without the labels of each fold, shape (g, n), in the property's unit.

        Their mean is what `predict` returns. Only for a `FoldEnsemble`.
        """
        assert isinstance(self.model, FoldEnsemble)
        baselines = self.baseline[:-1]
        z = self.model.by_fold(len(baselines), batch, threads)
        total = baselines @ batch.baseline(self.name).T + self.scale * z
        return total / batch.divisor(self.name)

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing, empty folder."""
        (folder / _KIND_FOLDER).mkdir()
        self.model.save(folder / _KIND_FOLDER)
        data = {
            "name": self.name,
            "kind": self.kind,
            "baseline": self.baseline.tolist(),
            "scale": self.scale,
        }
        (folder / _FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> MeanModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no such model, or the kind needs a library that is missing.
        """
        try:
            data = json.loads((folder / _FILE).read_text())
            kind = str(data["kind"])
            return cls(
                str(data["name"]),
                kind,
                np.array(data["baseline"], dtype=float),
                float(data["scale"]),
                model_class(kind).load(folder / _KIND_FOLDER, encoder),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable property model: {error!r}") from error
