"""CatBoost models as files: made, written and read in one place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from defects.errors import ModelError

if TYPE_CHECKING:
    from catboost import CatBoostRegressor


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
