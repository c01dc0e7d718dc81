"""Fits the pairwise decomposition as a table: one term per pair of kinds and shell.

Sums are fitted as a Gaussian process whose covariance is that of single defects and pairs only: the
terms are then its coefficients. Extremes (``gap = min over pairs of g``) are fitted to the sum of
absolute errors by coordinate descent: with all other terms fixed, the best value of one term is
found exactly. So which pair sets a label is found along with the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from defects.encodings.pairs import pair_table
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.pair_kernel import (
    PairKernelSettings,
    PairOccupancy,
    pair_columns,
    similarity_root,
)
from defects.surrogates.pairwise import RULES, PairwiseTerms, Rule
from defects.surrogates.pairwise_model import ShellsModel
from defects.surrogates.scaling import LINEAR
from training.surrogate_pairs import leave_one_out
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from

#: Labels by which the width of the terms' prior is chosen.
SEARCH_LABELS = 300
_GRID = tuple(
    PairKernelSettings(decay=d, smoothing=0.3, independent=i, pair=p, linear=1.0, noise=n)
    for d, i, p, n in product((1.5, 3.0, 6.0), (0.05, 0.5), (0.03, 0.3, 3.0), (0.003, 0.02, 0.1))
)


@dataclass(frozen=True)
class ShellSettings:
    """Hyperparameters.

    Attributes
    ----------
    rule : {"auto", "sum", "min", "max"}
        ``auto``: energies that are linear in the numbers of defects are sums; for others the rule
        with the smallest held-out error.
    prior : float
        Extremes: how many labels the mean of neighbouring shells counts for.
    width : float
        Extremes: which shells are neighbours, as a width in ln r.
    sweeps : int
        Extremes: at most so many passes over all terms.
    """

    rule: str = "auto"
    prior: float = 1.0
    width: float = 0.1
    sweeps: int = 12


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial."""
    return {
        "prior": trial.suggest_float("prior", 0.1, 5.0, log=True),
        "width": trial.suggest_float("width", 0.02, 0.5, log=True),
    }


def fit_shells(task: FitTask, options: FitOptions) -> KindFit:
    """Fit tables on all labels, and for the error one per fold without it.

    Raises
    ------
    ModelError
        When the rule asked for is unknown.
    """
    settings = settings_from(ShellSettings(), options.params)
    rule, tables, errors = tables_of_folds(task, settings, options.seed)
    held_out = np.empty(len(task.folds))
    for k, terms in enumerate(tables[:-1]):
        rows = np.flatnonzero(task.folds == k)
        held_out[rows] = terms.predict(task.batch.occupancy[rows])
    model = ShellsModel(task.batch.encoder, tables[-1])
    return KindFit(model, held_out, {"rule": rule, "mae_by_rule": errors})


def tables_of_folds(
    task: FitTask, settings: ShellSettings, seed: int
) -> tuple[Rule, list[PairwiseTerms], dict[str, float]]:
    """The rule, the tables without each fold and last of all labels, and the rules' errors.

    Raises
    ------
    ModelError
        When the rule asked for is unknown.
    """
    if settings.rule not in (*RULES, "auto"):
        raise ModelError(f"rule {settings.rule!r} is none of auto, {', '.join(RULES)}")
    chosen = [r for r in RULES if settings.rule in (r, "auto")]
    if settings.rule == "auto" and task.name in LINEAR:
        chosen = ["sum"]
    everything = [np.flatnonzero(task.folds != k) for k in range(task.n_folds)]
    everything.append(np.arange(len(task.folds)))
    tables: dict[Rule, list[PairwiseTerms]] = {}
    errors: dict[str, float] = {}
    for rule in chosen:
        if rule == "sum":
            kernel = _search_prior(task, seed)
            tables[rule] = [_sum_terms(task, k, rows, kernel) for k, rows in enumerate(everything)]
        else:
            tables[rule] = [_extreme_terms(task, rows, rule, settings) for rows in everything]
        found = np.empty(len(task.folds))
        for k, terms in enumerate(tables[rule][:-1]):
            rows = np.flatnonzero(task.folds == k)
            found[rows] = terms.predict(task.batch.occupancy[rows])
        errors[rule] = float((np.abs(found - task.total) / task.divisor).mean())
    best = min(chosen, key=lambda r: errors[r])
    return best, tables[best], errors


def _covariance(
    encoder: SparseEncoder, kernel: PairKernelSettings, occupancy: PairOccupancy
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of configurations, and of pair columns with configurations."""
    root = similarity_root(encoder.host, encoder.defects, kernel)
    mixed = occupancy.pairs @ root
    columns = kernel.pair * root @ mixed.T
    singles = kernel.linear * occupancy.counts @ occupancy.counts.T
    return singles + kernel.pair * mixed @ mixed.T, columns


def _search_prior(task: FitTask, seed: int) -> PairKernelSettings:
    """The prior of the terms with the smallest leave-one-out error."""
    rows = np.random.default_rng(seed).permutation(len(task.folds))[:SEARCH_LABELS]
    occupancy, z, by = task.batch.occupancy[rows], task.z[-1][rows], task.divisor[rows]

    def error(kernel: PairKernelSettings) -> float:
        covariance, _ = _covariance(task.batch.encoder, kernel, occupancy)
        try:
            # Divided by the divisor, all labels have the same noise.
            mean = leave_one_out(covariance / np.outer(by, by), z / by, kernel.noise)
        except np.linalg.LinAlgError:
            return float("inf")
        value = float(np.abs(mean - z / by).mean())
        return value if np.isfinite(value) else float("inf")

    return min(_GRID, key=error)


def _sum_terms(
    task: FitTask, k: int, rows: np.ndarray, kernel: PairKernelSettings
) -> PairwiseTerms:
    """Terms of a sum by the labels of some rows; `k` names the baseline."""
    occupancy, by = task.batch.occupancy[rows], task.divisor[rows]
    covariance, columns = _covariance(task.batch.encoder, kernel, occupancy)
    weights = np.linalg.solve(covariance + np.diag((kernel.noise * by) ** 2), task.z[k][rows])
    singles = kernel.linear * occupancy.counts.T @ weights * task.scale
    baseline = task.coefficients[k]
    n_kinds = occupancy.counts.shape[1]
    constant = float(baseline[0]) if len(baseline) in (1, n_kinds + 1) else 0.0
    if len(baseline) >= n_kinds and task.name in LINEAR:
        singles = singles + baseline[-n_kinds:]
    return PairwiseTerms("sum", constant, singles, task.scale * columns @ weights)


def _extreme_terms(
    task: FitTask, rows: np.ndarray, rule: Rule, settings: ShellSettings
) -> PairwiseTerms:
    """Terms of a minimum or maximum by the labels of some rows."""
    sign = 1.0 if rule == "min" else -1.0
    occupancy, value = task.batch.occupancy[rows], sign * task.total[rows]
    number = occupancy.counts.sum(axis=1)
    encoder = task.batch.encoder
    high = float(np.quantile(value, 0.9))
    pairs = descend(
        occupancy.pairs[number > 1] > 0,
        value[number > 1],
        _neighbours(encoder, settings.width),
        high,
        settings,
    )
    singles = np.full(len(encoder.defects), np.nan)
    codes = pair_columns(encoder.host, encoder.defects)[:, 0]
    first, second = np.divmod(codes, len(encoder.defects))
    for kind in range(len(singles)):
        alone = (number == 1) & (occupancy.counts[:, kind] == 1)
        # A defect is alone when its pairs are far: the least disturbed pair that it has.
        mine = (first == kind) | (second == kind)
        if alone.any():
            singles[kind] = np.median(value[alone])
        else:
            singles[kind] = pairs[mine].max() if mine.any() else high
    pristine = value[number == 0]
    constant = np.median(pristine) if len(pristine) else singles.max()
    return PairwiseTerms(rule, sign * float(constant), sign * singles, sign * pairs)


def descend(
    present: np.ndarray,
    value: np.ndarray,
    neighbours: Mapping[int, tuple[np.ndarray, np.ndarray]],
    start: float,
    settings: ShellSettings,
) -> np.ndarray:
    """Terms whose minimum over the columns that are present is closest to the values.

    Parameters
    ----------
    present : ndarray of bool, shape (n, columns)
        At least one per row.
    value : ndarray, shape (n,)
    neighbours : mapping
        Per column: columns from whose terms it is guessed, and their weights (of sum 1); itself
        is none of them.
    start : float
        Where all terms start: high, so that no term hides another from the outset.
    settings : ShellSettings

    Returns
    -------
    ndarray, shape (columns,)
    """
    members = [np.flatnonzero(present[:, c]) for c in range(present.shape[1])]
    seen = np.array([len(rows) > 0 for rows in members])
    terms = np.full(present.shape[1], start)
    # Each starts at its own labels, the high ones: the low may be another's doing.
    for column in np.flatnonzero(seen):
        terms[column] = np.quantile(value[members[column]], 0.9)
    for _ in range(settings.sweeps):
        before = terms.copy()
        for column in np.flatnonzero(seen):
            rows = members[column]
            kept, terms[column] = terms[column], np.inf
            others = np.where(present[rows], terms, np.inf).min(axis=1)
            prior = _guess(column, terms, seen, neighbours, float(kept))
            found = value[rows]
            tried = np.unique(np.append(found, [prior, kept]))
            loss = np.abs(np.minimum(tried[:, None], others) - found).sum(axis=1)
            loss += settings.prior * np.abs(tried - prior)
            terms[column] = tried[int(np.argmin(loss))]
        if np.abs(terms - before).max() < 1e-6:
            break
    for column in np.flatnonzero(~seen):
        terms[column] = _guess(column, terms, seen, neighbours, start)
    return terms


def _guess(
    column: int,
    terms: np.ndarray,
    seen: np.ndarray,
    neighbours: Mapping[int, tuple[np.ndarray, np.ndarray]],
    otherwise: float,
) -> float:
    """Mean of the neighbouring terms that labels bear on."""
    near, weight = neighbours[column]
    known = seen[near]
    total = float(weight[known].sum())
    if total < 1e-12:
        return otherwise
    return float((terms[near[known]] * weight[known]).sum() / total)


def _neighbours(encoder: SparseEncoder, width: float) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Other columns of the same kinds, weighted by how close their distance is."""
    columns, table = pair_columns(encoder.host, encoder.defects), pair_table(encoder.host)
    log = np.log(table.distance[columns[:, 1]])
    height = table.height[columns[:, 1]]
    out = {}
    for column, (code, _) in enumerate(columns):
        near = np.flatnonzero((columns[:, 0] == code) & (np.arange(len(columns)) != column))
        # The long tail leaves a guess to a shell that has no close neighbour.
        weight = np.exp(-((log[near] - log[column]) ** 2) / (2 * width**2)) + 1e-6
        weight *= np.where(np.abs(height[near] - height[column]) < 0.1, 1.0, 1e-2)
        out[column] = (near, weight)
    return out
