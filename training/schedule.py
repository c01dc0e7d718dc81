"""Learning rate over a run that may be bounded by time, steps or epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then cosine (or none) down to a share of the peak.

    Attributes
    ----------
    peak : float
        Learning rate after the warm-up.
    warmup : float
        Share of the run, 0..1.
    final : float
        Last learning rate as a share of the peak.
    kind : str
        ``cosine``, ``linear`` or ``constant``.
    """

    peak: float
    warmup: float = 0.03
    final: float = 0.0
    kind: str = "cosine"

    def __post_init__(self) -> None:
        if self.kind not in ("cosine", "linear", "constant"):
            raise ValueError(f"schedule {self.kind!r} is none of cosine, linear, constant")

    def at(self, progress: float) -> float:
        """Learning rate when a share ``progress`` (0..1) of the run is done."""
        progress = min(max(progress, 0.0), 1.0)
        if progress < self.warmup:
            return self.peak * max(progress / self.warmup, 0.01)
        if self.kind == "constant":
            return self.peak
        x = (progress - self.warmup) / (1 - self.warmup) if self.warmup < 1 else 1.0
        falling = (1 + math.cos(math.pi * x)) / 2 if self.kind == "cosine" else 1 - x
        return self.peak * (self.final + (1 - self.final) * falling)
