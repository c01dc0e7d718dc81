"""A weighted mean of models of several kinds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.mean_model import MeanModel

_FILE = "stack.json"


@dataclass
class StackModel:
    """Weights of the members, which all predict the same property.

    Attributes
    ----------
    weights : ndarray, shape (m,)
        Not negative, of sum 1.
    members : list of MeanModel, length m
    """

    space: ClassVar[Literal["z", "total"]] = "total"
    ensemble: ClassVar[bool] = False

    weights: np.ndarray
    members: list[MeanModel]

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Weighted mean of the members' totals, shape (n,)."""
        means = np.array([member.predict(batch, threads) for member in self.members])
        return self.weights @ means * batch.divisor(self.members[0].name)

    def save(self, folder: Path) -> None:
        """A folder per member, and the weights."""
        for number, member in enumerate(self.members):
            inner = folder / f"{number:02d}-{member.kind}"
            inner.mkdir()
            member.save(inner)
        data = {
            "members": [member.kind for member in self.members],
            "weights": self.weights.tolist(),
        }
        (folder / _FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> StackModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no stack, or a member cannot be read.
        """
        try:
            data = json.loads((folder / _FILE).read_text())
            names = [f"{number:02d}-{kind}" for number, kind in enumerate(data["members"])]
            weights = np.array(data["weights"], dtype=float)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable stack: {error!r}") from error
        if not names or weights.shape != (len(names),):
            raise ModelError(f"{folder} holds {len(names)} members and {weights.size} weights")
        return cls(weights, [MeanModel.load(folder / name, encoder) for name in names])
