"""CatBoost regressors for fitting: silent, on one thread, without files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from defects.surrogates.catboost_files import new_catboost

if TYPE_CHECKING:
    from catboost import CatBoostRegressor


def quiet_catboost(seed: int, **parameters: Any) -> CatBoostRegressor:
    """A regressor that prints nothing and leaves no files behind."""
    return new_catboost(
        random_seed=seed,
        thread_count=1,
        allow_writing_files=False,
        allow_const_label=True,
        logging_level="Silent",
        **parameters,
    )
