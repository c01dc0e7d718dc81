"""CatBoost on SOAP, Coulomb or sine matrix, for comparison with the sparse encodings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from defects.encodings.dscribe_features import MatrixEncoder, SoapEncoder, new_encoder
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.catboost_files import load_trees, mean_in_chunks, save_trees
from defects.surrogates.encoded import Encoded

if TYPE_CHECKING:
    from typing import Self

    from catboost import CatBoostRegressor

_FILE = "descriptor.json"


@dataclass
class DescriptorModel:
    """Trees of every fold on a descriptor of the crystal, averaged.

    Attributes
    ----------
    descriptor : SoapEncoder or MatrixEncoder
    trees : list of CatBoostRegressor
        One per fold, trained without the labels of its fold.
    """

    kind: ClassVar[str]
    space: ClassVar[Literal["z", "total"]] = "z"
    ensemble: ClassVar[bool] = True

    descriptor: SoapEncoder | MatrixEncoder
    trees: list[CatBoostRegressor]

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean of all trees, shape (n,)."""
        transform = self.descriptor.transform
        return mean_in_chunks(self.trees, batch.configurations, transform, threads)

    def save(self, folder: Path) -> None:
        """One cbm file per fold, and the settings of the descriptor."""
        files = save_trees(self.trees, folder, self.kind)
        data = {"descriptor": self.kind, "settings": self.descriptor.spec(), "files": files}
        (folder / _FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> Self:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no such model.
        """
        try:
            data = json.loads((folder / _FILE).read_text())
            descriptor, settings = str(data["descriptor"]), dict(data["settings"])
            files = [str(file) for file in data["files"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable {cls.kind} model: {error!r}") from error
        if descriptor != cls.kind or not files:
            raise ModelError(f"{folder} holds {len(files)} models of {descriptor}, not {cls.kind}")
        made = new_encoder(cls.kind, encoder.host, encoder.defects, settings)
        return cls(made, load_trees(folder, files))


class SoapModel(DescriptorModel):
    """On SOAP around the defects."""

    kind: ClassVar[str] = "soap"


class CoulombModel(DescriptorModel):
    """On the eigenvalues of the Coulomb matrix."""

    kind: ClassVar[str] = "coulomb"


class SineModel(DescriptorModel):
    """On the eigenvalues of the sine matrix."""

    kind: ClassVar[str] = "sine"
