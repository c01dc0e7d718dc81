"""How well what was asked for, predicted and labelled agree: the numbers behind parity plots.

The published figure (Al-Maeeni, Derkach, Ustyuzhanin 2024, Figure 4) shows the quarter of the
samples with the smallest surrogate error and gives R² and RMSE of that quarter. Such a choice makes
even unrelated numbers agree: of uncorrelated Gaussian pairs the best quarter has R² 0.87. So every
figure here stands beside that over all, and beside the same of the same values paired at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Share of the samples that the paper keeps.
KEPT = 0.25
#: Random pairings that are averaged, and where their random numbers start.
PAIRINGS, PAIRING_SEED = 20, 0


@dataclass(frozen=True)
class Fit:
    """Agreement of two columns.

    Attributes
    ----------
    n : int
        Pairs.
    r2 : float
        1 - Σ(y - x)² / Σ(y - mean y)²; NaN where y does not vary.
    rmse, mae : float
        In the property's unit.
    """

    n: int
    r2: float
    rmse: float
    mae: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of the kept and of all pairs, and of the same values paired at random.

    ``random_kept`` keeps as many of the random pairs, those that happen to lie nearest.
    """

    kept: Fit
    all: Fit
    random_kept: Fit
    random_all: Fit


def fit(x: np.ndarray, y: np.ndarray) -> Fit:
    """Measure how well `y` agrees with `x`.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        In the same unit.
    """
    if len(x) == 0:
        return Fit(0, math.nan, math.nan, math.nan)
    difference = y - x
    around = float(((y - y.mean()) ** 2).sum())
    squares = float((difference**2).sum())
    return Fit(
        n=len(x),
        r2=1 - squares / around if around > 0 else math.nan,
        rmse=math.sqrt(squares / len(x)),
        mae=float(np.abs(difference).mean()),
    )


def agreement(x: Sequence[float], y: Sequence[float], kept: Sequence[bool]) -> Agreement:
    """Measure agreement of the kept pairs, of all, and of the same values paired at random.

    Parameters
    ----------
    x, y : sequence of float, length n
        In the same unit.
    kept : sequence of bool, length n
        Which pairs were chosen.
    """
    first, second, chosen = np.asarray(x, float), np.asarray(y, float), np.asarray(kept, bool)
    rng = np.random.default_rng(PAIRING_SEED)
    count = int(chosen.sum())
    random_kept, random_all = [], []
    for _ in range(PAIRINGS):
        shuffled = second[rng.permutation(len(second))]
        nearest = np.argsort(np.abs(shuffled - first), kind="stable")[:count]
        random_kept.append(fit(first[nearest], shuffled[nearest]))
        random_all.append(fit(first, shuffled))
    return Agreement(
        kept=fit(first[chosen], second[chosen]),
        all=fit(first, second),
        random_kept=_mean(random_kept),
        random_all=_mean(random_all),
    )


def best_share(errors: Sequence[float], share: float = KEPT) -> list[bool]:
    """Mark the share with the smallest errors, at least one; the first of equal ones."""
    count = max(math.ceil(share * len(errors)), 1) if len(errors) else 0
    order = np.argsort(np.asarray(errors, float), kind="stable")
    marks = [False] * len(errors)
    for i in order[:count]:
        marks[int(i)] = True
    return marks


def _mean(fits: Sequence[Fit]) -> Fit:
    values = np.array([(f.r2, f.rmse, f.mae) for f in fits])
    r2, rmse, mae = (float(v) for v in values.mean(axis=0))
    return Fit(fits[0].n, r2, rmse, mae)
