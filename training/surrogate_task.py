"""What a kind of surrogate is given to fit one property, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.kinds import KindModel
from defects.surrogates.mean_model import MeanModel

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class FitOptions:
    """How to fit; see `training.surrogate.fit_surrogate`.

    Attributes
    ----------
    n_folds, iterations, seed, threads : int
    deadline : float, optional
        Time of `time.monotonic` after which no further kind is tried; a kind that takes long may
        end early by it.
    params : mapping
        Hyperparameters of the kind that is fitted, where they differ from its defaults
        (`settings_from`).
    """

    n_folds: int
    iterations: int
    seed: int
    threads: int
    deadline: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


def settings_from(defaults: _Settings, params: Mapping[str, Any]) -> _Settings:
    """A kind's frozen dataclass of hyperparameters with some of them changed.

    Raises
    ------
    ModelError
        When the kind has no such hyperparameter.
    """
    names = [f.name for f in fields(defaults)]  # type: ignore[arg-type]
    unknown = sorted(set(params) - set(names))
    if unknown:
        raise ModelError(
            f"{type(defaults).__name__} has no {', '.join(unknown)}; it has {', '.join(names)}"
        )
    return type(defaults)(**{**{n: getattr(defaults, n) for n in names}, **params})


@dataclass
class KindFit:
    """What a kind hands back.

    Attributes
    ----------
    model : KindModel
        Fitted to all labels, or the ensemble over the folds.
    held_out : ndarray, shape (n,)
        Prediction for every label, in the model's space, by models that did not see its fold.
    report : mapping
        What the kind has to say of the fit, for the manifest; plain data.
    jackknife : callable, optional
        Where the model is a `FoldEnsemble`: computes the jackknife's standard error of every
        held-out prediction, shape (n,), in the model's space. As dear as the fit itself, so only
        asked of the kind that is kept.
    """

    model: KindModel
    held_out: np.ndarray
    report: Mapping[str, Any] = field(default_factory=dict)
    jackknife: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Labels:
    """Labels of another property, as `FitTask.related` holds them.

    Attributes
    ----------
    batch : Encoded, m labelled configurations
    values : ndarray, shape (m,)
    folds : ndarray of int, shape (m,)
        Of the same folds: a configuration that the task has too is in the same one.
    rows : ndarray of int, shape (n,)
        Which of these configurations each of the task's is, -1 where it has no such label.
    """

    batch: Encoded
    values: np.ndarray
    folds: np.ndarray
    rows: np.ndarray


class FitTask:
    """Labels of one property, with folds and standardised targets.

    Parameters
    ----------
    name : str
    batch : Encoded, n labelled configurations
    values : ndarray, shape (n,)
        Labels, in the property's unit.
    folds : ndarray of int, shape (n,)
        Equivalent configurations share a fold.
    related : mapping of property name to Labels, optional
        Labels of other properties.

    Attributes
    ----------
    n_folds : int
    divisor : ndarray, shape (n,)
        By what the modelled quantity is divided to give the property.
    total : ndarray, shape (n,)
        That quantity: values times divisor.
    columns : ndarray, shape (n, c)
        Of the linear baseline.
    coefficients : ndarray, shape (n_folds + 1, c)
        Of the baseline per fold, without its labels; last: of all labels.
    scale : float
        Spread of the total about the baseline.
    z : list of n_folds + 1 ndarray, shape (n,)
        (total - baseline) / scale with the baseline of fold k, last with that of all labels.
    rival : float
        Smallest mean absolute error of another kind on these folds so far, in the property's
        unit; infinite where none was fitted.
    fits : dict of kind to KindFit
        What was fitted on these folds so far.
    """

    def __init__(
        self,
        name: str,
        batch: Encoded,
        values: np.ndarray,
        folds: np.ndarray,
        related: Mapping[str, Labels] | None = None,
    ) -> None:
        self.name, self.batch, self.values, self.folds = name, batch, values, folds
        self.n_folds = int(folds.max()) + 1
        self.divisor = batch.divisor(name)
        self.columns = batch.baseline(name)
        self.total = values * self.divisor
        rows = [folds != k for k in range(self.n_folds)] + [np.ones(len(values), dtype=bool)]
        self.coefficients = np.array([_least_squares(self.columns[r], self.total[r]) for r in rows])
        left = self.total - self.columns @ self.coefficients[-1]
        self.scale = float(left.std()) or 1.0
        self.z = [(self.total - self.columns @ c) / self.scale for c in self.coefficients]
        self.rival = float("inf")
        self.fits: dict[str, KindFit] = {}
        self.related = dict(related or {})

    def mean_model(self, kind: str, fit: KindFit) -> MeanModel:
        """A fit with the baseline and scale of this task."""
        return MeanModel(self.name, kind, self.coefficients, self.scale, fit.model)

    def held_out_mean(self, fit: KindFit) -> np.ndarray:
        """Held-out predictions of a fit in the property's unit, shape (n,)."""
        total = fit.held_out
        if fit.model.space == "z":
            baseline = np.einsum("nc,nc->n", self.columns, self.coefficients[self.folds])
            total = baseline + self.scale * total
        return total / self.divisor


#: Property -> the one it is related to, and the slope if nothing else varied: with levels, the
#: identity LUMO - HOMO = gap.
RELATED: dict[str, tuple[str, float]] = {
    "lumo": ("homo_lumo_gap", 1.0),
    "homo": ("homo_lumo_gap", -1.0),
    "fermi_level": ("homo_lumo_gap", 0.0),
}


def helping(names: Iterable[str], available: Iterable[str]) -> list[str]:
    """Properties, not among those named, whose labels help to learn them and are available."""
    wanted = list(names)
    others = {RELATED[name][0] for name in wanted if name in RELATED}
    return sorted(others.intersection(available).difference(wanted))


def related_of(task: FitTask) -> str | None:
    """The property whose labels can help a task: a relative with labels for all its rows."""
    name, _ = RELATED.get(task.name, (None, 0.0))
    labels = task.related.get(name) if name else None
    return name if labels is not None and (labels.rows >= 0).all() else None


def _least_squares(columns: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Coefficients of the baseline; of the smallest norm where counts depend on each other."""
    return np.linalg.lstsq(columns, total, rcond=1e-8)[0]
