"""Fits surrogates: labels in, a finished surrogate folder out."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.errors import DatasetError, ModelError
from defects.hosts import Host
from defects.rules import Rules
from defects.surrogates.blas import blas_threads
from defects.surrogates.encoded import Encoded
from defects.surrogates.fitted import host_to_dict
from defects.surrogates.folder import finish_folder, unfinished_folder
from defects.surrogates.kinds import AUTO, check_kind
from defects.versions import installed_versions
from training.surrogate_kinds import FITTERS
from training.surrogate_property import LabelSet, fit_property
from training.surrogate_task import FitOptions, helping

logger = logging.getLogger(__name__)

#: Fewest configurations (up to symmetry) with a label of a property.
MIN_LABELS = 20


def fit_surrogate(
    configurations: Sequence[Configuration],
    values: Mapping[str, Sequence[float] | np.ndarray],
    host: Host,
    out_dir: str | Path,
    *,
    rules: Rules | Sequence[str] | None = None,
    seed: int = 0,
    model: str = "auto",
    iterations: int = 300,
    folds: int = 10,
    budget_s: float | None = None,
    threads: int | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    related: Mapping[str, Sequence[float] | np.ndarray] | None = None,
) -> dict[str, Any]:
    """Fit a surrogate and leave it as a finished folder.

    Parameters
    ----------
    configurations : sequence of Configuration, n
        All on `host`.
    values : mapping of property name to array, shape (n,)
        Labels in the property's unit; NaN where a configuration has none. Properties may have
        labels for different configurations.
    host : Host
    out_dir : path
        Must not exist; appears only when everything is written.
    rules : Rules or sequence of str, optional
        Defects that configurations to predict may have, on top of those in the labels.
    seed : int
        Same labels, seed and settings give the same predictions.
    model : str
        Kind of model (see `defects.surrogates.kinds.KINDS`); ``auto`` takes, property by property,
        the one of `defects.surrogates.kinds.AUTO` with the smallest cross-validated error.
    iterations : int
        Symmetric trees per fold; half as many of the other kind are added. The spread has no more.
    folds : int
        Models that each lack so large a part of the labels. With ten, held-out errors are near
        those of all labels; two leave no jackknife.
    params : mapping of kind to hyperparameters, optional
        Where they differ from the kind's defaults.
    related : mapping of property name to array, shape (n,), optional
        Labels like `values` of properties that are not to be predicted themselves, but may help:
        a LUMO with few labels learns from a gap with many.
    budget_s : float, optional
        With ``auto``: once this many seconds are spent, no further kind is tried.
    threads : int, optional
        Threads to fit with, one per tree model; all CPUs, at most 8, when not given.

    Returns
    -------
    dict
        The manifest: labels, their hash, cross-validated figures (folds grouped by canonical key),
        calibration, versions, hashes of all files, and ``version``.

    Raises
    ------
    DatasetError
        When labels are missing, too few, constant or not finite.
    ModelError
        When the folder exists, a configuration is on another host, or a setting is unknown.
    """
    started = time.monotonic()
    if model != "auto":
        check_kind(model)
    labels = _labels(configurations, values)
    encoder = make_encoder(configurations, host, rules)
    batch = Encoded(configurations, encoder)
    keys = [c.key for c in configurations]
    for name, column in labels.items():
        check_labels(name, column, keys)

    options = FitOptions(
        n_folds=folds,
        iterations=iterations,
        seed=seed,
        threads=threads or min(len(os.sched_getaffinity(0)), 8),
        deadline=None if budget_s is None else started + budget_s,
    )
    labelled = np.zeros(len(configurations), dtype=bool)
    others = _labels(configurations, related or {}, needed=False)
    sets = {
        name: label_set(configurations, keys, column, encoder)
        for name, column in {**others, **labels}.items()
    }
    with unfinished_folder(out_dir) as work, blas_threads(1):
        entries: dict[str, Any] = {}
        for number, (name, column) in enumerate(labels.items()):
            rows = np.flatnonzero(~np.isnan(column))
            labelled[rows] = True
            fitted = fit_property(
                name,
                sets[name],
                AUTO if model == "auto" else (model,),
                options,
                params,
                {other: found for other, found in sets.items() if other != name},
            )
            folder = f"{number:02d}-{name}"
            (work / folder).mkdir()
            fitted.model.save(work / folder)
            entries[name] = {"folder": folder, **fitted.report}
            logger.info(
                "%s: %s, MAE %.4g", name, fitted.report["model"], fitted.report["metrics"]["mae"]
            )
        manifest = {
            "host": host_to_dict(host),
            "encoder": encoder.spec(),
            "properties": entries,
            "domain": _domain(batch.counts, labels.values(), encoder.defects),
            "n_labels": int(labelled.sum()),
            "data_sha256": _data_hash(keys, {**others, **labels}),
            "seed": seed,
            "model": model,
            "iterations": iterations,
            "folds": folds,
            "params": {kind: dict(chosen) for kind, chosen in (params or {}).items()},
            "fit_seconds": round(time.monotonic() - started, 2),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": _versions({entry["model"] for entry in entries.values()}),
        }
        return finish_folder(work, out_dir, manifest)


def train_from_dataset(
    data_path: str | Path,
    properties: Sequence[str],
    out_dir: str | Path,
    *,
    rules: Rules | Sequence[str] | None = None,
    seed: int = 0,
    model: str = "auto",
    iterations: int = 300,
    folds: int = 10,
    budget_s: float | None = None,
    threads: int | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Fit a surrogate to a dataset in the 2DMD layout; see `fit_surrogate`.

    Parameters
    ----------
    data_path : path
        Dataset folder, or the name of a bundled dataset.
    properties : sequence of str
        Which properties, at least one.

    Raises
    ------
    DatasetError
        When the dataset cannot be read or lacks a property.
    """
    from defects.datasets import resolve_dataset

    dataset = resolve_dataset(str(data_path))
    names = list(dict.fromkeys(properties))
    missing = [p for p in names if p not in dataset.properties]
    if missing:
        raise DatasetError(
            f"{data_path} has no labels of {', '.join(missing)}; it has "
            f"{', '.join(dataset.properties) or 'none'}"
        )
    records = [r for r in dataset if r.properties]
    configurations = [r.configuration for r in records]
    columns = {
        name: np.array([r.properties.get(name, np.nan) for r in records], dtype=float)
        for name in [*names, *helping(names, dataset.properties)]
    }
    return fit_surrogate(
        configurations,
        {name: columns[name] for name in names},
        dataset.host,
        out_dir,
        rules=rules,
        seed=seed,
        model=model,
        iterations=iterations,
        folds=folds,
        budget_s=budget_s,
        threads=threads,
        params=params,
        related={name: column for name, column in columns.items() if name not in names},
    )


def label_set(
    configurations: Sequence[Configuration],
    keys: Sequence[str],
    column: np.ndarray,
    encoder: SparseEncoder,
) -> LabelSet:
    """The labels of one property that are there: those of a column that are not NaN."""
    rows = np.flatnonzero(~np.isnan(column))
    batch = Encoded([configurations[i] for i in rows], encoder)
    return LabelSet(batch, column[rows], [keys[i] for i in rows])


def _labels(
    configurations: Sequence[Configuration],
    values: Mapping[str, Sequence[float] | np.ndarray],
    needed: bool = True,
) -> dict[str, np.ndarray]:
    if needed and not values:
        raise DatasetError("no property to fit; name at least one")
    labels = {}
    for name, column in values.items():
        array = np.asarray(column, dtype=float)
        if array.shape != (len(configurations),):
            raise DatasetError(
                f"{name}: {array.shape} labels for {len(configurations)} configurations"
            )
        if np.isinf(array).any():
            raise DatasetError(
                f"{name}: label {int(np.flatnonzero(np.isinf(array))[0])} is infinite"
            )
        labels[name] = array
    return labels


def check_labels(name: str, column: np.ndarray, keys: Sequence[str]) -> None:
    """Raise unless there are labels enough of a property, and they differ.

    Raises
    ------
    DatasetError
        Says what is wrong with them.
    """
    known = np.flatnonzero(~np.isnan(column))
    if not len(known):
        raise DatasetError(f"{name}: all {len(column)} labels are missing (NaN); nothing to fit")
    distinct = len({keys[i] for i in known})
    if distinct < MIN_LABELS:
        raise DatasetError(
            f"{name}: {distinct} labelled configurations (up to symmetry), a surrogate needs at "
            f"least {MIN_LABELS}; label more with `data label`"
        )
    if np.ptp(column[known]) <= 1e-12 * max(1.0, float(np.abs(column[known]).max())):
        raise DatasetError(
            f"{name}: all {len(known)} labels are {column[known][0]:g}; there is nothing to learn"
        )


def make_encoder(
    configurations: Sequence[Configuration], host: Host, rules: Rules | Sequence[str] | None
) -> SparseEncoder:
    """The encoder for some configurations and whatever else the rules allow.

    Raises
    ------
    ModelError
        When a configuration is on another host.
    """
    # First: another host's defects would look like names that are no defects of this one.
    for number, configuration in enumerate(configurations):
        if configuration.host != host:
            raise ModelError(
                f"configuration {number} is on {configuration.host.key}, the surrogate is to be "
                f"of {host.key}: one surrogate per host"
            )
    wanted = list(rules.defects if isinstance(rules, Rules) else rules or ())
    counts = [c.counts() for c in configurations]
    found = sorted({name for c in counts for name in c})
    labelled = most = max((sum(c.values()) for c in counts), default=1)
    if isinstance(rules, Rules):
        most = max(most, rules.number(host)[1])
    return SparseEncoder(
        host,
        [*wanted, *(d for d in found if d not in wanted)],
        max(most, 2),
        # With three defects the distances of all pairs already fix the triangle.
        triples=labelled > 3,
    )


def _domain(
    counts: np.ndarray, columns: Iterable[np.ndarray], defects: Sequence[str]
) -> dict[str, Any]:
    """Numbers of defects that the labels of every property had, whatever more some have."""
    seen = [counts[~np.isnan(column)] for column in columns]
    most = np.min([found.max(axis=0) for found in seen], axis=0)
    return {
        "min_defects": max(int(found.sum(axis=1).min()) for found in seen),
        "max_defects": min(int(found.sum(axis=1).max()) for found in seen),
        "counts": dict(zip(defects, map(int, most), strict=True)),
    }


def _data_hash(keys: Sequence[str], labels: Mapping[str, np.ndarray]) -> str:
    """Hash of which labels there are, whatever their order."""
    rows = sorted(
        [key, name, repr(float(value))]
        for name, column in labels.items()
        for key, value in zip(keys, column, strict=True)
        if not np.isnan(value)
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _versions(kinds: Iterable[str]) -> dict[str, str]:
    """Versions of what some kinds were fitted with."""
    needed = {name for kind in kinds for name in FITTERS[kind].needs}
    packages = ("design-loop", "numpy", *sorted(needed))
    unknown = dict.fromkeys(packages, "unknown")
    return {"python": platform.python_version(), **unknown, **installed_versions(packages)}
