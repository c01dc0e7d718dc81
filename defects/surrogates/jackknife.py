"""How far a prediction hangs on which labels there are: the jackknife over the folds."""

from __future__ import annotations

import numpy as np


def jackknife_error(by_fold: np.ndarray) -> np.ndarray:
    """Standard error of a prediction, from models that each lack one of g folds of the labels.

    The delete-a-group jackknife (Quenouille 1956; Kott 2001, J. Off. Stat. 17, 521): with g groups
    the variance is (g - 1) / g · Σ (y_k - ȳ)², that is g - 1 times the variance of the models. The
    models share most of their labels, so what they differ by is only 1 / √(g - 1) of how uncertain
    they all are: a third for ten folds.

    Parameters
    ----------
    by_fold : ndarray, shape (g, n)
        Predictions for n configurations by the model without each fold.

    Returns
    -------
    ndarray, shape (n,)
        In the unit of the predictions.
    """
    return np.sqrt(len(by_fold) - 1) * by_fold.std(axis=0)
