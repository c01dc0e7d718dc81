"""The model of one property: trees on sparse features, or a Gaussian process on pairs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.pair_model import PairModel

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

#: Kinds of model. ``trees``: CatBoost on sparse features. ``pairs``: Gaussian process on pairs.
KINDS = ("trees", "pairs")
MODEL_FILE = "model.json"
SPREAD_FILE = "spread.cbm"


def new_catboost(**parameters: Any) -> CatBoostRegressor:
    """A CatBoost regressor (imports the library).

    Raises
    ------
    ModelError
        When CatBoost is not installed.
    """
    try:
        from catboost import CatBoostRegressor
    except ImportError as error:
        raise ModelError(
            "surrogates need CatBoost: pip install 'design-loop[surrogate]'"
        ) from error
    return CatBoostRegressor(**parameters)


@dataclass
class PropertyModel:
    """Mean and spread of one property.

    What is modelled is ``z = (value * divisor - baseline) / scale``. The models of a fold were
    trained without its labels; the mean of all is the prediction (``pairs``: one of all labels).

    Attributes
    ----------
    name, kind : str
    baseline : ndarray, shape (folds + 1, c)
        Coefficients of the linear baseline per fold; the last row is that of all labels.
    scale : float
    trees : list of CatBoostRegressor
        As many for every fold; empty for ``pairs``.
    pairs : PairModel or None
        None for ``trees``.
    spread : CatBoostRegressor
        Predicts ln |z - z_true| from the features.
    calibration : float
        Factor that makes the nominal 90 % interval cover 90 % of held-out labels.
    """

    name: str
    kind: str
    baseline: np.ndarray
    scale: float
    trees: list[CatBoostRegressor]
    pairs: PairModel | None
    spread: CatBoostRegressor
    calibration: float

    def predict(self, batch: Encoded, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread, each of shape (n,), in the property's unit."""
        columns = batch.baseline(self.name)
        if self.pairs is not None:
            total = columns @ self.baseline[-1] + self.scale * self.pairs.predict(batch.occupancy)
        else:
            z = np.stack(
                [tree.predict(batch.features, thread_count=threads) for tree in self.trees], axis=1
            )
            total = (columns @ self.baseline[:-1].T).mean(axis=1) + self.scale * z.mean(axis=1)
        spread = np.exp(self.spread.predict(batch.features, thread_count=threads))
        by = batch.divisor(self.name)
        return total / by, self.calibration * self.scale * spread / by

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing folder."""
        files = [f"trees{i}.cbm" for i in range(len(self.trees))]
        for file, tree in zip(files, self.trees, strict=True):
            _save_catboost(tree, folder / file)
        _save_catboost(self.spread, folder / SPREAD_FILE)
        data = {
            "name": self.name,
            "kind": self.kind,
            "baseline": self.baseline.tolist(),
            "scale": self.scale,
            "calibration": self.calibration,
            "trees": files,
            "pairs": self.pairs.to_dict() if self.pairs is not None else None,
        }
        (folder / MODEL_FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> PropertyModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no property model.
        """
        try:
            data = json.loads((folder / MODEL_FILE).read_text())
            if data["kind"] not in KINDS:
                raise ValueError(f"unknown kind {data['kind']!r}")
            pairs = data["pairs"]
            return cls(
                data["name"],
                data["kind"],
                np.array(data["baseline"], dtype=float),
                float(data["scale"]),
                [_load_catboost(folder / file) for file in data["trees"]],
                PairModel.from_dict(pairs, encoder) if pairs is not None else None,
                _load_catboost(folder / SPREAD_FILE),
                float(data["calibration"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable property model: {error!r}") from error


def _save_catboost(model: CatBoostRegressor, path: Path) -> None:
    # Times, random identifiers and the training log would make equal models differ.
    metadata = model.get_metadata()
    for name, neutral in (("train_finish_time", ""), ("model_guid", ""), ("training", "{}")):
        metadata[name] = neutral
    from catboost import CatBoostError

    try:
        model.save_model(str(path), format="cbm")
    except CatBoostError as error:
        raise OSError(f"CatBoost could not write {path.name}: {error}") from error


def _load_catboost(path: Path) -> CatBoostRegressor:
    model = new_catboost()
    from catboost import CatBoostError

    try:
        model.load_model(str(path), format="cbm")
    except CatBoostError as error:
        raise ModelError(f"{path} is no CatBoost model: {error}") from error
    return model
