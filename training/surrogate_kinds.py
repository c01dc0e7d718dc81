"""Which function fits which kind of surrogate, and what it needs to be installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from defects.errors import ModelError
from defects.surrogates.kinds import check_kind
from training.surrogate_task import FitOptions, FitTask, KindFit, related_of


@dataclass(frozen=True)
class Fitter:
    """Where a kind is fitted.

    Attributes
    ----------
    module, function : str
        The function takes a `FitTask` and `FitOptions` and returns a `KindFit`. The module also
        has ``search_space(trial)``, which draws hyperparameters from an Optuna trial.
    extra : str
        Extra of this project that brings what the kind needs.
    needs : tuple of str
        Modules that must be importable.
    """

    module: str
    function: str
    extra: str = "surrogate"
    needs: tuple[str, ...] = ("catboost",)


_DESCRIPTORS = ("descriptors", ("catboost", "dscribe"))
FITTERS: dict[str, Fitter] = {
    "related": Fitter("training.surrogate_related", "fit_related"),
    "stack": Fitter("training.surrogate_stack", "fit_stack"),
    "trees": Fitter("training.surrogate_trees", "fit_trees"),
    "pairs": Fitter("training.surrogate_pairs", "fit_pairs"),
    "slices": Fitter("training.surrogate_slices", "fit_slices"),
    "soap": Fitter("training.surrogate_dscribe", "fit_soap", *_DESCRIPTORS),
    "coulomb": Fitter("training.surrogate_dscribe", "fit_coulomb", *_DESCRIPTORS),
    "sine": Fitter("training.surrogate_dscribe", "fit_sine", *_DESCRIPTORS),
    "shells": Fitter("training.surrogate_shells", "fit_shells"),
    "formula": Fitter(
        "training.surrogate_formula", "fit_formula", "symbolic", ("catboost", "pyoperon")
    ),
    "graph": Fitter(
        "training.surrogate_graph", "fit_graph", "train", ("catboost", "torch", "safetensors")
    ),
    "embedding": Fitter(
        "training.surrogate_embedding",
        "fit_embedding",
        "train",
        ("catboost", "torch", "safetensors"),
    ),
    "transformer": Fitter(
        "training.surrogate_transformer",
        "fit_transformer",
        "train",
        ("catboost", "torch", "transformers"),
    ),
}


def applies(kind: str, task: FitTask) -> bool:
    """Whether a kind can be of use for a task: whether it has what the kind builds on."""
    if kind == "related":
        return related_of(task) is not None
    return kind != "stack" or len(task.fits) > 1


def missing(kind: str) -> str | None:
    """Why a kind cannot be fitted here, or None where it can.

    Raises
    ------
    ModelError
        When there is no such kind.
    """
    check_kind(kind)
    fitter = FITTERS[kind]
    absent = [name for name in fitter.needs if find_spec(name) is None]
    if not absent:
        return None
    return f"needs {', '.join(absent)}: pip install 'design-loop[{fitter.extra}]'"


def fit_kind(kind: str, task: FitTask, options: FitOptions) -> KindFit:
    """Fit one kind to one property (imports its module).

    Raises
    ------
    ModelError
        When there is no such kind, or a library that it needs is not installed.
    """
    reason = missing(kind)
    if reason is not None:
        raise ModelError(f"a surrogate of kind {kind} {reason}")
    return _function(kind, FITTERS[kind].function)(task, options)


def search_space(kind: str) -> Callable[[Any], Mapping[str, Any]]:
    """The function that draws a kind's hyperparameters from an Optuna trial.

    Raises
    ------
    ModelError
        When there is no such kind, or it has nothing to search.
    """
    check_kind(kind)
    try:
        return _function(kind, "search_space")
    except AttributeError:
        raise ModelError(f"the kind {kind} has no hyperparameters to search") from None


def _function(kind: str, name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module(FITTERS[kind].module), name)
