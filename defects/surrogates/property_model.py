"""The model of one property: a mean of any kind, a baseline, and a calibrated spread."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.catboost_files import load_catboost, save_catboost
from defects.surrogates.encoded import Encoded
from defects.surrogates.kinds import KindModel, model_class

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

MODEL_FILE = "model.json"
SPREAD_FILE = "spread.cbm"
#: Folder of the kind's own files.
KIND_FOLDER = "mean"


@dataclass
class PropertyModel:
    """Mean and spread of one property.

    Attributes
    ----------
    name, kind : str
    baseline : ndarray, shape (folds + 1, c)
        Coefficients of the linear baseline per fold; the last row is that of all labels.
    scale : float
        Of ``z = (value * divisor - baseline) / scale``.
    model : KindModel
        What the kind fitted.
    spread : CatBoostRegressor
        Predicts ln |error in units of the scale| from the features.
    calibration : float
        Factor that makes the nominal 90 % interval cover 90 % of held-out labels.
    """

    name: str
    kind: str
    baseline: np.ndarray
    scale: float
    model: KindModel
    spread: CatBoostRegressor
    calibration: float

    def predict(self, batch: Encoded, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread, each of shape (n,), in the property's unit."""
        total = self.model.predict(batch, threads)
        if self.model.space == "z":
            rows = self.baseline[:-1] if self.model.ensemble else self.baseline[-1:]
            total = batch.baseline(self.name) @ rows.mean(axis=0) + self.scale * total
        spread = np.exp(self.spread.predict(batch.features, thread_count=threads))
        by = batch.divisor(self.name)
        return total / by, self.calibration * self.scale * spread / by

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing folder."""
        (folder / KIND_FOLDER).mkdir()
        self.model.save(folder / KIND_FOLDER)
        save_catboost(self.spread, folder / SPREAD_FILE)
        data = {
            "name": self.name,
            "kind": self.kind,
            "baseline": self.baseline.tolist(),
            "scale": self.scale,
            "calibration": self.calibration,
        }
        (folder / MODEL_FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> PropertyModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no property model, or the kind needs a library that is missing.
        """
        try:
            data = json.loads((folder / MODEL_FILE).read_text())
            kind = str(data["kind"])
            return cls(
                str(data["name"]),
                kind,
                np.array(data["baseline"], dtype=float),
                float(data["scale"]),
                model_class(kind).load(folder / KIND_FOLDER, encoder),
                load_catboost(folder / SPREAD_FILE),
                float(data["calibration"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable property model: {error!r}") from error
