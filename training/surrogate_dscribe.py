"""Fits CatBoost to SOAP, Coulomb or sine matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from defects.encodings.dscribe_features import SoapSettings, new_encoder
from defects.surrogates.dscribe_model import (
    CoulombModel,
    DescriptorModel,
    SineModel,
    SoapModel,
)
from training.catboost_folds import BoostSettings, boost_space, fit_folds
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from


@dataclass(frozen=True)
class SoapFitSettings(BoostSettings):
    """Hyperparameters of CatBoost and of SOAP (`SoapSettings`)."""

    column_share: float = 0.2
    cutoff: float = SoapSettings.cutoff
    n_max: int = SoapSettings.n_max
    l_max: int = SoapSettings.l_max
    sigma: float = SoapSettings.sigma

    def soap(self) -> dict[str, Any]:
        """Those of SOAP."""
        names = ("cutoff", "n_max", "l_max", "sigma")
        return {name: getattr(self, name) for name in names}


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of CatBoost of one Optuna trial; those that all three kinds have."""
    return boost_space(trial)


def fit_soap(task: FitTask, options: FitOptions) -> KindFit:
    """Fit a model for every fold on SOAP vectors, on the labels outside it."""
    settings = settings_from(SoapFitSettings(), options.params)
    return _fit(SoapModel, settings, settings.soap(), task, options)


def fit_coulomb(task: FitTask, options: FitOptions) -> KindFit:
    """Fit a model for every fold on Coulomb matrices, on the labels outside it."""
    settings = settings_from(BoostSettings(), options.params)
    return _fit(CoulombModel, settings, {}, task, options)


def fit_sine(task: FitTask, options: FitOptions) -> KindFit:
    """Fit a model for every fold on sine matrices, on the labels outside it."""
    settings = settings_from(BoostSettings(), options.params)
    return _fit(SineModel, settings, {}, task, options)


def _fit(
    model: type[DescriptorModel],
    settings: BoostSettings,
    of_descriptor: dict[str, Any],
    task: FitTask,
    options: FitOptions,
) -> KindFit:
    encoder = task.batch.encoder
    descriptor = new_encoder(model.kind, encoder.host, encoder.defects, of_descriptor)
    features = descriptor.transform(task.batch.configurations)
    trees, held_out = fit_folds(features, task.z, task.folds, settings, options)
    report = {"descriptor": model.kind, **of_descriptor, "columns": features.shape[1]}
    return KindFit(model(descriptor, trees), held_out, report)
