"""CatBoost models: made, averaged over folds, written and read in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.configuration import Configuration
from defects.errors import ModelError

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

#: Configurations encoded at a time: a row of SOAP or of an 8×8 cell's tokens takes 9 kB.
CHUNK = 2048


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


def save_catboost(model: CatBoostRegressor, path: Path) -> None:
    """Write a model; equal models give equal bytes.

    Raises
    ------
    OSError
        When CatBoost cannot write.
    """
    # Times, random identifiers and the training log would make equal models differ.
    metadata = model.get_metadata()
    for name, neutral in (("train_finish_time", ""), ("model_guid", ""), ("training", "{}")):
        metadata[name] = neutral
    from catboost import CatBoostError

    try:
        model.save_model(str(path), format="cbm")
    except CatBoostError as error:
        raise OSError(f"CatBoost could not write {path.name}: {error}") from error


def load_catboost(path: Path) -> CatBoostRegressor:
    """Read a model.

    Raises
    ------
    ModelError
        When the file is none, or CatBoost is not installed.
    """
    model = new_catboost()
    from catboost import CatBoostError

    try:
        model.load_model(str(path), format="cbm")
    except CatBoostError as error:
        raise ModelError(f"{path} is no CatBoost model: {error}") from error
    return model


def save_trees(trees: Sequence[CatBoostRegressor], folder: Path, prefix: str) -> list[str]:
    """Write the models of all folds; returns the files' names, ``<prefix>0.cbm`` and so on."""
    files = [f"{prefix}{i}.cbm" for i in range(len(trees))]
    for file, tree in zip(files, trees, strict=True):
        save_catboost(tree, folder / file)
    return files


def load_trees(folder: Path, files: Iterable[str]) -> list[CatBoostRegressor]:
    """Inverse of `save_trees`.

    Raises
    ------
    ModelError
        When a file is no model, or CatBoost is not installed.
    """
    return [load_catboost(folder / file) for file in files]


def mean_in_chunks(
    trees: Sequence[CatBoostRegressor],
    configurations: Sequence[Configuration],
    transform: Callable[[Sequence[Configuration]], Any],
    threads: int,
) -> np.ndarray:
    """Mean of all trees on columns that are too wide to be held for all rows, shape (n,)."""
    mean = np.empty(len(configurations))
    for start in range(0, len(configurations), CHUNK):
        rows = slice(start, start + CHUNK)
        features = transform(configurations[rows])
        mean[rows] = np.mean([t.predict(features, thread_count=threads) for t in trees], axis=0)
    return mean
