"""The kinds of model that a surrogate can be made of, and what each has to offer.

A kind is a class that reads itself from a folder and predicts; it is imported when it is needed,
so that a surrogate of trees needs no other library than CatBoost. `training.surrogate_kinds` is
the side that fits them.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError

if TYPE_CHECKING:
    from defects.surrogates.encoded import Encoded

#: Name of each kind: module and class.
KINDS: dict[str, tuple[str, str]] = {
    "trees": ("defects.surrogates.trees_model", "TreesModel"),
    "pairs": ("defects.surrogates.pair_model", "PairModel"),
    "slices": ("defects.surrogates.slices_model", "SlicesModel"),
    "soap": ("defects.surrogates.dscribe_model", "SoapModel"),
    "coulomb": ("defects.surrogates.dscribe_model", "CoulombModel"),
    "sine": ("defects.surrogates.dscribe_model", "SineModel"),
    "shells": ("defects.surrogates.pairwise_model", "ShellsModel"),
    "formula": ("defects.surrogates.pairwise_model", "FormulaModel"),
    "graph": ("defects.surrogates.graph_model", "GraphModel"),
    "embedding": ("defects.surrogates.embedding_model", "EmbeddingModel"),
    "transformer": ("defects.surrogates.transformer_model", "TransformerModel"),
    "related": ("defects.surrogates.related_model", "RelatedModel"),
    "stack": ("defects.surrogates.stack_model", "StackModel"),
}
#: The kinds that ``auto`` tries: they fit in seconds and need no extra but CatBoost. ``related``
#: only where there are labels of a related property; ``stack`` last, of those before it.
AUTO = ("trees", "pairs", "related", "stack")


class KindModel(Protocol):
    """A fitted model of one property.

    Attributes
    ----------
    space : {"z", "total"}
        What `predict` returns. ``total``: the extensive quantity, that is the property times its
        divisor (`scaling.divisor`). ``z``: (total - baseline) / scale of the `PropertyModel`.
    ensemble : bool
        Only for ``z``: True where the prediction is the mean over the models of the folds, each
        of which knows its own baseline; False where the model is one of all labels.
    """

    space: ClassVar[Literal["z", "total"]]
    ensemble: ClassVar[bool]

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """One number per configuration, shape (n,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model's files (no pickles) into an existing, empty folder."""
        ...

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> KindModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the files are no such model, or a library is missing.
        """
        ...


@runtime_checkable
class FoldEnsemble(Protocol):
    """A kind whose folds can be asked one by one, so that the jackknife tells of its doubts."""

    def by_fold(self, n_folds: int, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Prediction of the models without each fold, shape (n_folds, n), in the space ``z``."""
        ...


def check_kind(kind: str) -> None:
    """Raise unless there is such a kind.

    Raises
    ------
    ModelError
        Names the kinds that there are.
    """
    if kind not in KINDS:
        raise ModelError(f"unknown kind of surrogate {kind!r}: give auto, {', '.join(KINDS)}")


def model_class(kind: str) -> type[KindModel]:
    """The class of a kind (imports its module).

    Raises
    ------
    ModelError
        When there is no such kind, or its module needs a library that is not installed.
    """
    check_kind(kind)
    module, name = KINDS[kind]
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ModelError(
            f"a surrogate of kind {kind} needs {error.name}: see docs/surrogates.md for its extra"
        ) from error
