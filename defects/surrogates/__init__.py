"""Surrogates: cheap models of properties with a calibrated spread."""

from __future__ import annotations

from defects.surrogates.base import Z90, Predictions, Surrogate
from defects.surrogates.fitted import FittedSurrogate, load_surrogate
from defects.surrogates.predict import predict_structures

__all__ = [
    "Z90",
    "FittedSurrogate",
    "Predictions",
    "Surrogate",
    "load_surrogate",
    "predict_structures",
]
