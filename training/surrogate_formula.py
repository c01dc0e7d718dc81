"""Fits the pairwise decomposition as closed formulas, by symbolic regression.

The table of `training.surrogate_shells` says which value each pair of kinds has at which distance;
a formula through these values, weighted by how many labels bear on each, is sought by Operon
(Burlacu et al. 2020), which evolves expressions and keeps the best of every length. Of these the
one with the smallest Bayesian information criterion is taken.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from defects.encodings.pairs import pair_table
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.expressions import Expression
from defects.surrogates.pair_kernel import PairOccupancy, pair_columns
from defects.surrogates.pairwise import PairwiseTerms
from defects.surrogates.pairwise_model import VARIABLES, Formula, FormulaModel
from training.surrogate_shells import ShellSettings, tables_of_folds
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from

#: No formula is sought through fewer points; their mean stands for them.
FEWEST_POINTS = 5
#: Values closer than this, in eV, are not worth a longer formula.
RESOLUTION = 1e-3
#: Weight of a shell that no label bears on: the table's guess from its neighbours.
UNSEEN = 0.1
#: Most often that a point is repeated for its weight.
REPEATS = 8


@dataclass(frozen=True)
class FormulaSettings:
    """Hyperparameters.

    Attributes
    ----------
    population, generations : int
        Of the evolution, per pair of kinds.
    max_length : int
        Most symbols in a formula.
    rule, prior, width
        Of the table; see `ShellSettings`.
    """

    population: int = 300
    generations: int = 30
    max_length: int = 16
    rule: str = "auto"
    prior: float = 1.0
    width: float = 0.1


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial."""
    return {
        "max_length": trial.suggest_int("max_length", 6, 30),
        "population": trial.suggest_int("population", 100, 1000, log=True),
        "generations": trial.suggest_int("generations", 20, 100, log=True),
        "prior": trial.suggest_float("prior", 0.1, 5.0, log=True),
    }


def fit_formula(task: FitTask, options: FitOptions) -> KindFit:
    """Fit formulas to all labels, and for the error once per fold without it.

    Raises
    ------
    ModelError
        When pyoperon is not installed or the rule asked for is unknown.
    """
    settings = settings_from(FormulaSettings(), options.params)
    shells = ShellSettings(rule=settings.rule, prior=settings.prior, width=settings.width)
    rule, tables, errors = tables_of_folds(task, shells, options.seed)
    held_out = np.empty(len(task.folds))
    for k, terms in enumerate(tables):
        train = np.flatnonzero(task.folds != k)
        model = _formulas(task, terms, train, settings, options.seed)
        test = np.flatnonzero(task.folds == k)
        held_out[test] = model.terms.predict(task.batch.occupancy[test])
    report = {
        "rule": rule,
        "mae_by_rule_of_tables": errors,
        "formulas": {f"{f.kinds[0]}, {f.kinds[1]}": f.expression.text for f in model.formulas},
    }
    return KindFit(model, held_out, report)


def _formulas(
    task: FitTask, terms: PairwiseTerms, rows: np.ndarray, settings: FormulaSettings, seed: int
) -> FormulaModel:
    """Formulas through a table that was fitted to some rows."""
    encoder, occupancy = task.batch.encoder, task.batch.occupancy[rows]
    columns, table = pair_columns(encoder.host, encoder.defects), pair_table(encoder.host)
    bearing = labels_bearing(terms, occupancy)
    formulas = []
    for code in np.unique(columns[:, 0]):
        at = np.flatnonzero(columns[:, 0] == code)
        if not bearing[at].any():
            continue
        orbits = columns[at, 1]
        points = np.stack(
            [
                table.distance[orbits],
                table.height[orbits],
                terms.pairs[at],
                np.maximum(bearing[at], UNSEEN),
            ],
            axis=1,
        )
        a, b = divmod(int(code), len(encoder.defects))
        text = seek_formula(points, terms.rule == "sum", settings, seed)
        kinds = (encoder.defects[a], encoder.defects[b])
        formulas.append(Formula(kinds, Expression.parse(text, VARIABLES), points))
    if terms.rule == "sum":
        return _refitted(task, encoder, terms, formulas, rows)
    return FormulaModel.of(encoder, terms, formulas)


def labels_bearing(terms: PairwiseTerms, occupancy: PairOccupancy) -> np.ndarray:
    """How many labels say something of each pair term, shape (columns,).

    For a sum all that have the pair; for an extreme those whose property the pair sets, and a
    small part of the others, which only say that it does not.
    """
    present = (occupancy.pairs > 0) & (occupancy.counts.sum(axis=1) > 1)[:, None]
    if terms.rule == "sum":
        return occupancy.pairs.sum(axis=0)
    sign = 1.0 if terms.rule == "min" else -1.0
    values = np.where(present, sign * terms.pairs, np.inf)
    sets = present & (values <= values.min(axis=1, keepdims=True) + 1e-9)
    return sets.sum(axis=0) + 0.1 * (present & ~sets).sum(axis=0)


def seek_formula(points: np.ndarray, vanishing: bool, settings: FormulaSettings, seed: int) -> str:
    """The text of a formula through points.

    Parameters
    ----------
    points : ndarray, shape (p, 4)
        Distance, height difference, value, weight.
    vanishing : bool
        Whether it goes to zero at a large distance; otherwise to a constant.
    settings : FormulaSettings
    seed : int

    Raises
    ------
    ModelError
        When pyoperon is not installed.
    """
    distance, _, value, weight = points.T
    far = np.argsort(distance)[-max(1, len(points) // 4) :]
    limit = 0.0 if vanishing else float(np.average(value[far], weights=weight[far]))
    prefix = "" if vanishing else f"{_number(limit)} + "
    reach = float(distance.max())
    # One exponential, short or long, with a constant before it or an evolved expression.
    texts = ["0" if vanishing else _number(limit)]
    for length in (0.5, 1.0, 2.0, 4.0, reach / 1.5):
        fade = np.exp(-distance / length)
        if (weight * fade**2).sum() < 1e-12:
            continue
        left = (value - limit) / fade
        factors = [_number(float(np.average(left, weights=weight * fade**2)))]
        if length >= 4.0 and len(points) >= FEWEST_POINTS and np.ptp(value) > RESOLUTION:
            factors += _evolved(points[:, :2], left, weight * fade**2, settings, seed)
        texts += [f"{prefix}exp(-r/{_number(length)})*({factor})" for factor in factors]
    return _shortest_good(texts, points, limit)


def _evolved(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, settings: FormulaSettings, seed: int
) -> list[str]:
    """The best formula of every length."""
    try:
        from pyoperon.sklearn import SymbolicRegressor
    except ImportError as error:
        raise ModelError("formulas need pyoperon: pip install 'design-loop[symbolic]'") from error
    columns = [i for i in range(x.shape[1]) if np.ptp(x[:, i]) > 0.1]
    # The library has no weights; a point that counts twice stands there twice.
    times = np.clip(np.round(2 * weight / weight.mean()), 1, REPEATS).astype(int)
    regressor = SymbolicRegressor(
        allowed_symbols="add,sub,mul,div,exp,cos,constant,variable",
        objectives=["mse", "length"],
        population_size=settings.population,
        pool_size=settings.population,
        generations=settings.generations,
        max_evaluations=settings.population * (settings.generations + 1),
        max_length=settings.max_length,
        optimizer_iterations=5,
        n_threads=1,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # "Model contains no variables": a constant is a fair answer.
        warnings.simplefilter("ignore", UserWarning)
        regressor.fit(np.repeat(x[:, columns], times, axis=0), np.repeat(y, times))
    texts = [regressor.get_model_string(entry["tree"], 6) for entry in regressor.pareto_front_]
    return [_in_python(text, [VARIABLES[i] for i in columns]) for text in texts]


def _in_python(text: str, names: list[str]) -> str:
    """Operon's way of writing as Python's."""
    for number, name in enumerate(names, start=1):
        text = re.sub(rf"\bX{number}\b", name, text)
    return text.replace("^", "**")


def _shortest_good(texts: list[str], points: np.ndarray, limit: float) -> str:
    """The text with the smallest Bayesian information criterion that keeps near its limit."""
    distance, height, value, weight = points.T
    best, low = texts[0], np.inf
    bound = 2 * np.abs(value - limit).max() + RESOLUTION
    beyond = distance.max() * np.array([3.0, 10.0, 30.0])
    for text in texts:
        expression = Expression.parse(text, VARIABLES)
        found = expression({"r": distance, "h": height})
        away = expression({"r": beyond, "h": np.zeros(3)}) - limit
        # Undefined or wild between the points, or not fading: no law.
        if not ((np.abs(found - limit) <= bound).all() and (np.abs(away) <= 0.1 * bound).all()):
            continue
        mean = float(np.average((found - value) ** 2, weights=weight))
        constants = len(re.findall(r"(?<![A-Za-z_])\d[\d.e+-]*", text))
        score = len(points) * np.log(mean + RESOLUTION**2) + constants * np.log(len(points))
        if score < low:
            best, low = text, score
    return best


def _refitted(
    task: FitTask,
    encoder: SparseEncoder,
    terms: PairwiseTerms,
    formulas: list[Formula],
    rows: np.ndarray,
) -> FormulaModel:
    """Single terms and one factor per formula by least squares on the labels.

    The table's terms are drawn to zero where labels are few, and so are formulas through them.
    """
    occupancy, by = task.batch.occupancy[rows], task.divisor[rows]
    model = FormulaModel.of(encoder, _without_pairs(terms), formulas)
    codes = pair_columns(encoder.host, encoder.defects)[:, 0]
    n = len(encoder.defects)
    which = [encoder.defects.index(f.kinds[0]) * n + encoder.defects.index(f.kinds[1])
             for f in formulas]  # fmt: skip
    shapes = [
        occupancy.pairs[:, codes == code] @ model.terms.pairs[codes == code] for code in which
    ]
    design = np.column_stack([occupancy.counts, *shapes]) / by[:, None]
    start = np.concatenate([terms.singles, np.ones(len(formulas))])
    target = (task.total[rows] - terms.constant) / by - design @ start
    # Drawn to the table by a thousandth of what the labels say.
    weight = 1e-3 * np.maximum((design**2).sum(axis=0), 1e-9)
    change = np.linalg.solve(design.T @ design + np.diag(weight), design.T @ target)
    singles, factors = np.split(start + change, [n])
    scaled = [
        Formula(
            f.kinds,
            Expression.parse(f"{_number(factor)}*{f.expression.text}", VARIABLES),
            f.points,
        )
        for f, factor in zip(formulas, factors, strict=True)
    ]
    terms = PairwiseTerms("sum", terms.constant, singles, terms.pairs)
    return FormulaModel.of(encoder, _without_pairs(terms), scaled)


def _without_pairs(terms: PairwiseTerms) -> PairwiseTerms:
    return PairwiseTerms(terms.rule, terms.constant, terms.singles, np.zeros_like(terms.pairs))


def _number(value: float) -> str:
    return f"({value:.6g})" if value < 0 else f"{value:.6g}"
