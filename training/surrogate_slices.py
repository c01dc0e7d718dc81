"""Fits the published surrogate: CatBoost on the tokens of SLICES strings.

After Al-Maeeni, Derkach and Ustyuzhanin (2024), who score generated structures with CatBoost on
SLICES. How the string of the canonical configuration becomes columns is chosen here: how often each
token occurs (``counts``: elements, signs of cells, and with the atoms' numbers how many bonds each
has), or the number of the token at every position (``sequence``), which takes ten times as long and
wants thousands of labels. Nothing else of this project goes in: the trees are fitted to the
property itself, without the linear baseline that other kinds start from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from defects.encodings.slices_tokens import FORMS, SliceTokens
from defects.surrogates.slices_model import SlicesModel
from training.catboost_folds import BoostSettings, boost_space, fit_folds
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from


@dataclass(frozen=True)
class SlicesSettings(BoostSettings):
    """Hyperparameters of CatBoost, and how a string becomes columns (`SliceTokens`)."""

    form: str = "counts"


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial."""
    return {**boost_space(trial), "form": trial.suggest_categorical("form", list(FORMS))}


def fit_slices(task: FitTask, options: FitOptions) -> KindFit:
    """Fit a model for every fold to the property, on the labels outside it."""
    settings = settings_from(SlicesSettings(), options.params)
    encoder = task.batch.encoder
    tokens = SliceTokens(encoder.host, encoder.defects, settings.form)
    features = tokens.transform(task.batch.configurations)
    targets = [task.values] * task.n_folds
    trees, held_out = fit_folds(features, targets, task.folds, settings, options)
    report = {"form": settings.form, "columns": features.shape[1]}
    return KindFit(SlicesModel(task.name, tokens, trees), held_out * task.divisor, report)
