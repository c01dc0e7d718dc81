"""One kind of surrogate on one property: held-out predictions, figures, times."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.datasets.dataset import Dataset
from defects.encodings.sparse import SparseEncoder
from defects.errors import DatasetError
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates.blas import blas_threads
from defects.surrogates.encoded import Encoded
from defects.surrogates.property_model import PropertyModel
from training.surrogate import check_labels, label_set, make_encoder
from training.surrogate_metrics import best_quarter, figures, grouped_folds, random_quarter
from training.surrogate_property import LabelSet, PropertyFit, fit_property
from training.surrogate_task import RELATED, FitOptions

#: Predictions are timed for about so long, s.
TIMED_S = 1.0


@dataclass(frozen=True)
class Settings:
    """How kinds are compared.

    Attributes
    ----------
    folds : int
        Outer folds.
    quick : bool
        One level of folds: those of the fit itself. Five times quicker; what a kind searches
        before it fits its folds (hyperparameters) has then seen all labels.
    iterations : int
        Trees per fold.
    seed, threads : int
    params : mapping of kind to hyperparameters
    """

    folds: int = 5
    quick: bool = False
    iterations: int = 300
    seed: int = 0
    threads: int = 1
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def options(self) -> FitOptions:
        """Of the fits."""
        return FitOptions(5, self.iterations, self.seed, self.threads)


@dataclass(frozen=True)
class Cell:
    """What one kind gives for one property.

    Attributes
    ----------
    row : dict
        Figures of the table.
    keys : list of str, length n
    truth, mean, std : ndarray, shape (n,)
    """

    row: dict[str, Any]
    keys: list[str]
    truth: np.ndarray
    mean: np.ndarray
    std: np.ndarray


class Problem:
    """The labels of one property of a dataset, and those that may help.

    Raises
    ------
    DatasetError
        When there are no such labels, or too few, or they are constant.
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        if name not in dataset.properties:
            raise DatasetError(
                f"no labels of {name}; there are {', '.join(dataset.properties) or 'none'}"
            )
        records = [r for r in dataset if r.properties]
        self.name, self.host = name, dataset.host
        self.configurations = [r.configuration for r in records]
        self.keys = [c.key for c in self.configurations]
        wanted = [name, *(p for p in RELATED.get(name, ())[:1] if p in dataset.properties)]
        self.columns = {
            p: np.array([r.properties.get(p, np.nan) for r in records], dtype=float) for p in wanted
        }
        check_labels(name, self.columns[name], self.keys)
        self.known = np.flatnonzero(~np.isnan(self.columns[name]))
        self.truth = self.columns[name][self.known]
        self.known_keys = [self.keys[i] for i in self.known]

    def fingerprint(self) -> str:
        """Hash of all labels."""
        content = [sorted(zip(self.keys, map(repr, c), strict=True)) for c in self.columns.values()]
        return hashlib.sha256(json.dumps([list(self.columns), content]).encode()).hexdigest()

    def sets(self, rows: Sequence[int]) -> tuple[SparseEncoder, dict[str, LabelSet]]:
        """Labels of some rows by property, and the encoder of their configurations."""
        some = [self.configurations[i] for i in rows]
        encoder = make_encoder(some, self.host, None)
        keys = [self.keys[i] for i in rows]
        index = np.asarray(rows)
        return encoder, {
            p: label_set(some, keys, column[index], encoder) for p, column in self.columns.items()
        }


def evaluate(problem: Problem, kind: str, settings: Settings) -> Cell:
    """Cross-validate one kind.

    Raises
    ------
    DesignLoopError
        When the kind cannot be fitted.
    """
    truth, n = problem.truth, len(problem.truth)
    mean, std = np.empty(n), np.empty(n)
    wall = cpu = 0.0
    chosen = set()
    folds = (
        np.zeros(n, dtype=int)
        if settings.quick
        else grouped_folds(problem.known_keys, settings.folds, settings.seed + 1)
    )
    with blas_threads(1), tempfile.TemporaryDirectory() as scratch:
        for k in np.unique(folds):
            test = np.flatnonzero(folds == k)
            left_out = set() if settings.quick else {int(problem.known[i]) for i in test}
            rows = [i for i in range(len(problem.keys)) if i not in left_out]
            encoder, sets = problem.sets(rows)
            started = time.perf_counter(), time.process_time()
            fit = _fit(problem.name, kind, sets, settings)
            wall += time.perf_counter() - started[0]
            cpu += time.process_time() - started[1]
            chosen.add(fit.report["model"])
            # What is used later is what was written and read again, so that is what is judged.
            folder = Path(scratch) / f"{k}"
            folder.mkdir()
            fit.model.save(folder)
            model = PropertyModel.load(folder, encoder)
            if settings.quick:
                mean[:], std[:] = fit.mean, fit.std
            else:
                some = [problem.configurations[problem.known[i]] for i in test]
                mean[test], std[test] = model.predict(Encoded(some, encoder), settings.threads)
        rate = predictions_per_second(model, encoder)
    n_fits = len(np.unique(folds))
    row = {
        "property": problem.name,
        "kind": kind,
        "status": "done",
        "chosen": "/".join(sorted(chosen)),
        "labels": n,
        **figures(truth, mean, std),
        **best_quarter(truth, mean),
        **random_quarter(truth, settings.seed),
        "fit_wall_s": wall / n_fits,
        "fit_cpu_s": cpu / n_fits,
        "predictions_per_s": rate,
    }
    return Cell(row, problem.known_keys, truth, mean, std)


def _fit(name: str, kind: str, sets: Mapping[str, LabelSet], settings: Settings) -> PropertyFit:
    from defects.surrogates.kinds import AUTO

    options = settings.options()
    if settings.quick:
        options = replace(options, n_folds=settings.folds)
    others = {p: found for p, found in sets.items() if p != name}
    kinds = AUTO if kind == "auto" else (kind,)
    return fit_property(name, sets[name], kinds, options, settings.params, others)


def predictions_per_second(model: PropertyModel, encoder: SparseEncoder) -> float:
    """Configurations per CPU second on one thread, features included."""
    rules = Rules(defects=encoder.defects, min_defects=1, max_defects=encoder.max_defects)
    rng = np.random.default_rng(0)

    def draw(n: int) -> list[Configuration]:
        return [random_configuration(encoder.host, rules, rng) for _ in range(n)]

    model.predict(Encoded(draw(4), encoder))
    n, spent = 16, 0.0
    while spent < TIMED_S / 8 and n < 4096:
        n *= 4
        some = draw(n)
        started = time.process_time()
        model.predict(Encoded(some, encoder))
        spent = time.process_time() - started
    return n / max(spent, 1e-9)
