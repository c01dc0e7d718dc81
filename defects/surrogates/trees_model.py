"""CatBoost on sparse features: the mean over the models of all folds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.catboost_files import load_trees, save_trees
from defects.surrogates.encoded import Encoded

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

_LIST = "trees.json"


@dataclass
class TreesModel:
    """Trees of every fold, averaged.

    Attributes
    ----------
    trees : list of CatBoostRegressor
        As many for every fold, one fold after the other, each trained without its labels.
    """

    space: ClassVar[Literal["z", "total"]] = "z"
    ensemble: ClassVar[bool] = True

    trees: list[CatBoostRegressor]

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean of all trees, shape (n,)."""
        return self._each(batch, threads).mean(axis=0)

    def by_fold(self, n_folds: int, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean of each fold's trees, shape (n_folds, n)."""
        each = self._each(batch, threads)
        return each.reshape(n_folds, -1, len(batch)).mean(axis=1)

    def _each(self, batch: Encoded, threads: int) -> np.ndarray:
        features = batch.features
        return np.array([t.predict(features, thread_count=threads) for t in self.trees])

    def save(self, folder: Path) -> None:
        """One cbm file per member, and their list."""
        (folder / _LIST).write_text(json.dumps(save_trees(self.trees, folder, "trees")))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> TreesModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no trees.
        """
        try:
            names = [str(name) for name in json.loads((folder / _LIST).read_text())]
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable trees: {error!r}") from error
        if not names:
            raise ModelError(f"{folder} holds no trees")
        return cls(load_trees(folder, names))
