"""Folds and figures of merit of surrogates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from defects.surrogates.base import Z90


def grouped_folds(keys: Sequence[str], n_folds: int, seed: int) -> np.ndarray:
    """Fold of every label; equivalent configurations share one.

    Parameters
    ----------
    keys : sequence of str
        Canonical key of each configuration (`Configuration.key`).
    n_folds, seed : int

    Returns
    -------
    ndarray of int, shape (n,)
    """
    # Sorted first: the folds depend on which configurations there are, not on their order.
    unique, inverse = np.unique(np.array(keys), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(unique))
    return (order % n_folds)[inverse]


def figures(truth: np.ndarray, mean: np.ndarray, std: np.ndarray | None = None) -> dict[str, float]:
    """Figures of merit of predictions on held-out labels.

    Parameters
    ----------
    truth, mean, std : ndarray, shape (n,)
        In eV; `std` is the spread.

    Returns
    -------
    dict
        ``mae``, ``rmse`` (eV), ``r2``, ``within_20_mev`` (share of errors below 0.02 eV), and with
        a spread ``coverage_90``, ``coverage_1_sigma`` (shares) and ``width_90`` (mean, eV).
    """
    error = mean - truth
    variance = float(truth.var())
    found = {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": float(1 - (error**2).mean() / variance) if variance else float("nan"),
        "within_20_mev": float((np.abs(error) < 0.02).mean()),
    }
    if std is not None:
        found["coverage_90"] = float((np.abs(error) <= Z90 * std).mean())
        found["coverage_1_sigma"] = float((np.abs(error) <= std).mean())
        found["width_90"] = float(2 * Z90 * std.mean())
    return found


def typical_error(errors: np.ndarray) -> float:
    """Mean of the absolute errors without the largest 1 %, by which models are compared.

    With a hundred labels, one configuration unlike all others would decide otherwise.
    """
    left_out = min(int(np.ceil(0.01 * len(errors))), len(errors) - 1)
    return float(np.sort(errors)[: len(errors) - left_out].mean())


def conformal_factor(
    error: np.ndarray,
    spread: np.ndarray,
    share: float = 0.9,
    fixed: np.ndarray | float = 0.0,
) -> float:
    """Factor on the spread with which mean ± 1.645 spread covers the share of held-out labels.

    Normalised split conformal prediction with the finite-sample correction; the errors and spreads
    must come from models that did not see these labels.

    Parameters
    ----------
    error, spread : ndarray, shape (n,)
    share : float
    fixed : ndarray, shape (n,), or float
        A part of the spread that the factor leaves as it is; both are added as variances are.
    """
    left = np.sqrt(np.maximum((error / Z90) ** 2 - np.square(fixed), 0.0))
    scores = np.sort(left / spread)
    rank = min(int(np.ceil((len(scores) + 1) * share)), len(scores))
    return float(scores[rank - 1])


def best_quarter(truth: np.ndarray, mean: np.ndarray, share: float = 0.25) -> dict[str, float]:
    """R² and RMSE of the samples with the smallest error, as the generator's paper gives them.

    Selected by their error, so the figure flatters: pairs that have nothing to do with each other
    reach an R² near 0.9. `random_quarter` is that figure for the data at hand.

    Parameters
    ----------
    truth, mean : ndarray, shape (n,)
    share : float

    Returns
    -------
    dict
        ``r2_best_quarter`` and ``rmse_best_quarter`` (eV).
    """
    kept = np.argsort(np.abs(mean - truth), kind="stable")[: max(2, int(share * len(truth)))]
    found = figures(truth[kept], mean[kept])
    return {"r2_best_quarter": found["r2"], "rmse_best_quarter": found["rmse"]}


def random_quarter(truth: np.ndarray, seed: int = 0) -> dict[str, float]:
    """`best_quarter` of labels predicted by other labels drawn at random: worth nothing.

    Returns
    -------
    dict
        ``r2_random_quarter`` and ``rmse_random_quarter`` (eV), the means of 20 draws.
    """
    rng = np.random.default_rng(seed)
    draws = [best_quarter(truth, rng.permutation(truth)) for _ in range(20)]
    return {
        f"{figure}_random_quarter": float(np.mean([d[f"{figure}_best_quarter"] for d in draws]))
        for figure in ("r2", "rmse")
    }
