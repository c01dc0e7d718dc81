"""A regressor on second-degree polynomials of symmetry-aware embeddings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.catboost_files import load_trees, save_trees
from defects.surrogates.embedding_network import FILE, EmbeddingNetwork
from defects.surrogates.encoded import Encoded

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

_REGRESSORS = "regressors.json"


def polynomials(embeddings: np.ndarray) -> np.ndarray:
    """One, every number, and every product of two, shape (n, 1 + d + d (d + 1) / 2)."""
    i, j = np.triu_indices(embeddings.shape[1])
    one = np.ones((len(embeddings), 1))
    return np.concatenate([one, embeddings, embeddings[:, i] * embeddings[:, j]], axis=1)


@dataclass
class EmbeddingModel:
    """Regressors of every fold on one embedding, averaged.

    Attributes
    ----------
    network : EmbeddingNetwork
        Trained without labels, so it is the same for all folds and properties.
    trees : list of CatBoostRegressor
        One per fold; empty where the regressors are linear.
    weights : ndarray, shape (folds, 1 + d + d (d + 1) / 2)
        Of ridge regression per fold; no row where the regressors are trees.
    """

    space: ClassVar[Literal["z", "total"]] = "z"
    ensemble: ClassVar[bool] = True

    network: EmbeddingNetwork
    trees: list[CatBoostRegressor]
    weights: np.ndarray

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean of the regressors, shape (n,)."""
        columns = polynomials(self.network.embed(batch))
        found = [tree.predict(columns, thread_count=threads) for tree in self.trees]
        return np.mean([*found, *(columns @ self.weights.T).T], axis=0)

    def save(self, folder: Path) -> None:
        """The network as safetensors, the regressors as cbm files or JSON."""
        self.network.save(folder / FILE)
        files = save_trees(self.trees, folder, "trees")
        data = {"trees": files, "weights": self.weights.tolist()}
        (folder / _REGRESSORS).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> EmbeddingModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When a file is missing, damaged, or of another host or vocabulary.
        """
        network = EmbeddingNetwork.load(folder / FILE, encoder)
        columns = polynomials(np.zeros((1, network.shape.dimension))).shape[1]
        try:
            data = json.loads((folder / _REGRESSORS).read_text())
            files = [str(file) for file in data["trees"]]
            weights = np.array(data["weights"], dtype=float).reshape(-1, columns)
            if not files and not len(weights):
                raise ValueError("no regressors")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable regressors: {error!r}") from error
        return cls(network, load_trees(folder, files), weights)
