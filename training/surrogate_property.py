"""Fits the model of one property: tries the kinds asked for, keeps the best, calibrates it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.property_model import PropertyModel
from training.surrogate_kinds import applies, fit_kind
from training.surrogate_metrics import conformal_factor, figures, grouped_folds, typical_error
from training.surrogate_spread import fit_spread
from training.surrogate_task import FitOptions, FitTask, KindFit, Labels

logger = logging.getLogger(__name__)

#: By how much a stack must err less than its best member to be worth predicting with all of them.
STACK_GAIN = 0.05


@dataclass(frozen=True)
class LabelSet:
    """Labels of one property.

    Attributes
    ----------
    batch : Encoded, n labelled configurations
    values : ndarray, shape (n,)
    keys : sequence of str, length n
        Canonical keys, by which folds are grouped.
    """

    batch: Encoded
    values: np.ndarray
    keys: Sequence[str]


@dataclass(frozen=True)
class PropertyFit:
    """What came of fitting one property.

    Attributes
    ----------
    model : PropertyModel
    report : dict
        For the manifest: kind, number of labels, cross-validated figures, errors of all kinds.
    mean, std : ndarray, shape (n,)
        Held-out prediction and spread of every label; the spread is calibrated on other folds.
    """

    model: PropertyModel
    report: dict[str, Any]
    mean: np.ndarray
    std: np.ndarray


def fit_property(
    name: str,
    labels: LabelSet,
    kinds: Sequence[str],
    options: FitOptions,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    related: Mapping[str, LabelSet] | None = None,
) -> PropertyFit:
    """Fit one property.

    Parameters
    ----------
    name : str
    labels : LabelSet
    kinds : sequence of str
        To be tried; the one with the smallest held-out error is kept. With several, those that
        have nothing to build on are left out (`surrogate_kinds.applies`).
    options : FitOptions
        There are never more folds than classes.
    params : mapping of kind to hyperparameters, optional
    related : mapping of property name to LabelSet, optional
        Labels of other properties, which a kind may learn from.
    """
    started = time.monotonic()
    values, keys = labels.values, labels.keys
    classes = len(set(keys))
    options = replace(options, n_folds=min(options.n_folds, classes))
    folds = grouped_folds(keys, options.n_folds, options.seed)
    others = {
        other: _in_folds(found, keys, folds, options) for other, found in (related or {}).items()
    }
    task = FitTask(name, labels.batch, values, folds, others)
    errors: dict[str, float] = {}
    typical: dict[str, float] = {}
    for kind in kinds:
        if task.fits and options.deadline is not None and time.monotonic() > options.deadline:
            break
        if len(kinds) > 1 and not applies(kind, task):
            continue
        task.rival = min(errors.values(), default=np.inf)
        fit = fit_kind(kind, task, replace(options, params=(params or {}).get(kind, {})))
        found = np.abs(task.held_out_mean(fit) - values)
        if not np.isfinite(found).all():
            raise ModelError(f"{name}: the kind {kind} predicts values that are not finite")
        task.fits[kind] = fit
        errors[kind] = float(found.mean())
        typical[kind] = typical_error(found) / (1 - STACK_GAIN if kind == "stack" else 1)
    if not typical:
        raise ModelError(f"{name}: none of the kinds {', '.join(kinds)} can be fitted to it")
    kind = min(typical, key=lambda k: typical[k])
    best = task.fits[kind]

    features = labels.batch.features
    mean = task.held_out_mean(best)
    residual = (mean - values) * task.divisor / task.scale
    spread = fit_spread(features, residual, folds, options)
    std = task.scale * spread.held_out / task.divisor
    doubt = _doubt(task, best, options)
    fixed = np.zeros(len(values)) if doubt is None else doubt
    factor = conformal_factor(values - mean, std, fixed=fixed)
    model = PropertyModel(task.mean_model(kind, best), spread.model, factor, doubt is not None)
    calibrated = _cross_calibrated(values - mean, std, fixed, folds)
    report = {
        "model": kind,
        "n_labels": len(values),
        "n_classes": classes,
        "n_folds": options.n_folds,
        "range": [float(values.min()), float(values.max())],
        "metrics": figures(values, mean, calibrated),
        "mae_by_model": errors,
        "interval": {
            "nominal": 0.9,
            "factor": factor,
            "jackknife": None if doubt is None else float(np.median(doubt)),
        },
        "fit_seconds": round(time.monotonic() - started, 2),
    }
    return PropertyFit(model, report, mean, calibrated)


def _in_folds(
    labels: LabelSet, keys: Sequence[str], folds: np.ndarray, options: FitOptions
) -> Labels:
    """Labels of another property in the folds of this one, so that none leaks across."""
    known = dict(zip(keys, folds, strict=True))
    own = grouped_folds(labels.keys, options.n_folds, options.seed)
    together = [known.get(key, fold) for key, fold in zip(labels.keys, own, strict=True)]
    where = {key: row for row, key in enumerate(labels.keys)}
    rows = np.array([where.get(key, -1) for key in keys])
    return Labels(labels.batch, labels.values, np.array(together, dtype=np.int64), rows)


def _doubt(task: FitTask, fit: KindFit, options: FitOptions) -> np.ndarray | None:
    """The jackknife's error of held-out predictions, in the property's unit; None without one."""
    if fit.jackknife is None:
        return None
    if options.deadline is not None and time.monotonic() > options.deadline:
        logger.info(
            "%s: the time for fitting is up; its spread goes without the jackknife's part",
            task.name,
        )
        return None
    scale = task.scale if fit.model.space == "z" else 1.0
    return scale * fit.jackknife() / task.divisor


def _cross_calibrated(
    error: np.ndarray, std: np.ndarray, fixed: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Spreads with the factor of the other folds: for an honest figure of the coverage."""
    out = np.empty_like(std)
    for k in range(int(folds.max()) + 1):
        rest = folds != k
        factor = conformal_factor(error[rest], std[rest], fixed=fixed[rest])
        out[~rest] = np.hypot(factor * std[~rest], fixed[~rest])
    return out
