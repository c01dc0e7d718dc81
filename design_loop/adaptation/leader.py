"""The setting that most samples are asked with: the best one so far, as far as can be known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from design_loop.adaptation.arms import SAMPLED
from design_loop.adaptation.yields import ArmYield

#: Added to both counts of a ratio: one half of an expected hit, in samples of the round.
_HALF = 0.5
#: Width over which one setting tells of another, as a share of the bounds.
_WIDTH = 0.15
#: Standard deviation of what settings are believed to change, before anything is known (logarithm).
_BELIEF = 0.7


def log_ratio(arm: ArmYield, reference: ArmYield) -> float:
    """How much better than the configured setting of the same round, as a logarithm.

    Adapter, surrogate and what is left to be found change from round to round, and with them every
    yield; the configured setting is in all rounds and takes that out.
    """
    mine = (arm.worth + _HALF) / (arm.samples + 2 * _HALF)
    theirs = (reference.worth + _HALF) / (reference.samples + 2 * _HALF)
    return math.log(mine / theirs)


def references(history: Sequence[ArmYield]) -> dict[int, ArmYield]:
    """Round -> the configured setting's yield, with that of a leader that was the same."""
    found: dict[int, ArmYield] = {}
    for arm in sorted(history, key=lambda y: y.settings["index"]):
        now = found.get(arm.round)
        if now is None:
            if arm.settings["index"] == 0:
                found[arm.round] = arm
        elif all(arm.settings[name] == now.settings[name] for name in SAMPLED):
            found[arm.round] = ArmYield(
                arm.round, now.settings, now.samples + arm.samples, now.worth + arm.worth
            )
    return found


def inside(settings: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]) -> bool:
    """Whether today's bounds allow a setting."""
    return all(low <= settings[name] <= high for name, (low, high) in bounds.items())


def leader(
    history: Sequence[ArmYield], bounds: Mapping[str, tuple[float, float]]
) -> dict[str, float] | None:
    """The setting that is better than the configured one beyond doubt, and best so.

    What settings yield is smoothed over their neighbours; the best is that whose mean minus its
    standard error (counts are Poisson) is largest, and only if that is above the configured one.

    Returns
    -------
    dict or None
        Setting -> value; None where the configured setting leads.
    """
    reference = references(history)
    rows = [
        y
        for y in history
        if y.round in reference
        and y.samples
        and reference[y.round].samples
        and inside(y.settings, bounds)
        and any(y.settings[n] != reference[y.round].settings[n] for n in SAMPLED)
    ]
    if not rows:
        return None
    spans = {n: max(high - low, 1e-12) for n, (low, high) in bounds.items()}
    x = np.array([[y.settings[n] / spans[n] for n in spans] for y in rows])
    value = np.array([log_ratio(y, reference[y.round]) for y in rows])
    variance = np.array([
        1 / (y.worth + _HALF) + 1 / (reference[y.round].worth + _HALF) for y in rows
    ])  # fmt: skip
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=-1)
    weight = np.exp(-squares / (2 * _WIDTH**2)) / variance
    precision = weight.sum(axis=1) + _BELIEF**-2
    mean = (weight @ value) / precision
    score = mean - 1 / np.sqrt(precision)
    best = int(score.argmax())
    if score[best] <= 0:
        return None
    return {name: float(rows[best].settings[name]) for name in SAMPLED}
