"""The model of one property: a mean of any kind, and a calibrated spread."""

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
from defects.surrogates.jackknife import jackknife_error
from defects.surrogates.mean_model import MeanModel

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

MODEL_FILE = "model.json"
SPREAD_FILE = "spread.cbm"
_MEAN_FOLDER = "mean"


@dataclass
class PropertyModel:
    """Mean and spread of one property.

    Attributes
    ----------
    mean : MeanModel
    spread : CatBoostRegressor
        Predicts ln |error in units of the mean's scale| from the features.
    calibration : float
        Factor on this size with which the nominal 90 % interval covers 90 % of held-out labels.
    jackknife : bool
        Whether the spread also has the jackknife's standard error of the mean, added as variances
        are. Errors of labels say how large errors are where labels are; how far the mean hangs on
        single labels says more of the places that a search finds, the more so the better they look.
    """

    mean: MeanModel
    spread: CatBoostRegressor
    calibration: float
    jackknife: bool = False

    @property
    def name(self) -> str:
        """The property."""
        return self.mean.name

    def predict(self, batch: Encoded, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread, each of shape (n,), in the property's unit."""
        spread = np.exp(self.spread.predict(batch.features, thread_count=threads))
        width = self.calibration * self.mean.scale * spread / batch.divisor(self.name)
        if not self.jackknife:
            return self.mean.predict(batch, threads), width
        by_fold = self.mean.by_fold(batch, threads)
        return by_fold.mean(axis=0), np.hypot(width, jackknife_error(by_fold))

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing folder."""
        (folder / _MEAN_FOLDER).mkdir()
        self.mean.save(folder / _MEAN_FOLDER)
        save_catboost(self.spread, folder / SPREAD_FILE)
        data = {"calibration": self.calibration, "jackknife": self.jackknife}
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
            calibration = float(data["calibration"])
            # Folders of older versions do not say.
            jackknife = bool(data.get("jackknife", False))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable property model: {error!r}") from error
        mean = MeanModel.load(folder / _MEAN_FOLDER, encoder)
        return cls(mean, load_catboost(folder / SPREAD_FILE), calibration, jackknife)
