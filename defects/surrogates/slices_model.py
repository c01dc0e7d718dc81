"""The published surrogate: CatBoost on the tokens of SLICES strings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from defects.encodings.slices_tokens import SliceTokens
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.catboost_files import load_trees, mean_in_chunks, save_trees
from defects.surrogates.encoded import Encoded

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

_FILE = "slices.json"


@dataclass
class SlicesModel:
    """Trees of every fold on tokens, averaged; they predict the property itself.

    Attributes
    ----------
    name : str
        The property.
    tokens : SliceTokens
    trees : list of CatBoostRegressor
        One per fold, trained without the labels of its fold.
    """

    space: ClassVar[Literal["z", "total"]] = "total"
    ensemble: ClassVar[bool] = True

    name: str
    tokens: SliceTokens
    trees: list[CatBoostRegressor]

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Property times its divisor, shape (n,)."""
        transform = self.tokens.transform
        value = mean_in_chunks(self.trees, batch.configurations, transform, threads)
        return value * batch.divisor(self.name)

    def save(self, folder: Path) -> None:
        """One cbm file per fold, and what the columns are."""
        data = {
            "property": self.name,
            "form": self.tokens.form,
            "width": self.tokens.width,
            "n_tokens": len(self.tokens.vocabulary),
            "files": save_trees(self.trees, folder, "slices"),
        }
        (folder / _FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> SlicesModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no such model, or of another vocabulary.
        """
        try:
            data = json.loads((folder / _FILE).read_text())
            name, n_tokens = str(data["property"]), int(data["n_tokens"])
            form, width = str(data["form"]), int(data["width"])
            files = [str(file) for file in data["files"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable SLICES model: {error!r}") from error
        tokens = SliceTokens(encoder.host, encoder.defects, form, width)
        if not files or n_tokens != len(tokens.vocabulary):
            raise ModelError(
                f"{folder}: {len(files)} models of {n_tokens} tokens, {encoder.host.key} with "
                f"{', '.join(encoder.defects)} has {len(tokens.vocabulary)}: train it again"
            )
        return cls(name, tokens, load_trees(folder, files))
