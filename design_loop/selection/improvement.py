"""By expected improvement: of one objective, or of the hypervolume of several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from defects.targets import Target, meets_all, probability_of_meeting
from design_loop.pareto import errors_of, non_dominated, reference_point
from design_loop.selection.candidates import Score, Screened
from design_loop.selection.hypervolume import improvements

#: Points of the predicted normal distribution; a power of two, as Sobol points want.
POINTS = 256
#: With three objectives or more, candidates looked at in full: the most promising ones.
MOST = 500


class Improvement:
    """The largest expected hypervolume improvement first.

    Goals and values are objectives: errors that are brought down, in units of each target's
    `unit_error`. Ranges and bounds are constraints: inside there is nothing left to improve. A
    candidate is expected to add

        E[ HVI(errors) · 1(constraints met) ],

    HVI being the volume that its errors dominate beyond the front of what is labelled and meets the
    constraints (Emmerich, Giannakoglou, Naujoks, IEEE Trans. Evol. Comput. 10, 421 (2006); with
    constraints and by Monte Carlo Daulton, Balandat, Bakshy, NeurIPS 2020). The mean is over
    `POINTS` Sobol points of the predicted normal distribution, the same for all candidates,
    properties independent. Volumes are measured from `design_loop.pareto.reference_point` of that
    front (of everything labelled while nothing meets the constraints). With one objective the
    volume is the improvement over the best label, and for a goal its expectation is known in closed
    form (Jones, Schonlau, Welch 1998). Weights do not enter: they would only scale the axes.

    Each candidate is judged by itself; that a batch is no set of near copies is left to the
    diversity of the selection.
    """

    def scores(
        self,
        candidates: Sequence[Screened],
        targets: Sequence[Target],
        known: Sequence[Mapping[str, float]],
        rng: np.random.Generator,
    ) -> list[Score]:
        """A score per candidate."""
        objectives = [t for t in targets if is_objective(t)]
        constraints = [t for t in targets if not is_objective(t)]
        front, reference = known_front(objectives, constraints, known)
        feasible = [probability_of_meeting(constraints, c.mean, c.std) for c in candidates]
        if len(objectives) == 1 and objectives[0].goal is not None:
            gains = [
                p * expected_improvement(objectives[0], c, float(reference[0]))
                for p, c in zip(feasible, candidates, strict=True)
            ]
        else:
            gains = self._by_points(candidates, objectives, feasible, front, reference, rng)
        return [
            Score(
                (-gain, c.surrogate_error),
                {
                    "expected_improvement": float(gain),
                    "probability_feasible": p,
                    "surrogate_error": c.surrogate_error,
                },
                f"expected improvement {gain:.3g}"
                + (f", constraints met with probability {p:.2f}" if constraints else "")
                + f", surrogate error {c.surrogate_error:.3f}",
            )
            for gain, p, c in zip(gains, feasible, candidates, strict=True)
        ]

    def _by_points(
        self,
        candidates: Sequence[Screened],
        objectives: Sequence[Target],
        feasible: Sequence[float],
        front: np.ndarray,
        reference: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Expected improvements, shape (n,).

        Properties are independent, so the constraints' part is their probability, exactly.
        """
        points = normal_points(len(objectives), rng)
        order = np.arange(len(candidates))
        if len(objectives) > 2 and len(candidates) > MOST:
            hopes = [_hope(c, objectives) for c in candidates]
            best = improvements(np.array(hopes), front, reference) * np.array(feasible)
            order = np.argsort(-best, kind="stable")[:MOST]
        gains = np.zeros(len(candidates))
        for i in order:
            c = candidates[i]
            mean = np.array([c.mean[t.property] for t in objectives])
            std = np.array([c.std.get(t.property, 0.0) for t in objectives])
            errors = error_columns(objectives, mean + std * points)
            gains[i] = feasible[i] * improvements(errors, front, reference).mean()
        return gains


def is_objective(target: Target) -> bool:
    """Whether a target can always be met better: a goal or a value, not a range or a bound."""
    return target.goal is not None or target.value is not None


def known_front(
    objectives: Sequence[Target],
    constraints: Sequence[Target],
    known: Sequence[Mapping[str, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Front of the labels that meet the constraints, and where volumes are measured from.

    Returns
    -------
    front : ndarray, shape (k, m)
        In unit errors; empty while nothing meets the constraints.
    reference : ndarray, shape (m,)
        Of one objective the best error so far, or the worst while nothing meets the constraints.
    """
    errors = errors_of(objectives, known)
    whole = np.isfinite(errors).all(axis=1)
    met = np.array(
        [
            meets_all(constraints, r)
            for r in known
        ],
        dtype=bool,
    )  # fmt: skip
    fine, everything = errors[whole & met], errors[whole]
    front = fine[non_dominated(fine)]
    if len(objectives) == 1:
        if len(fine):
            return front, fine.min(axis=0)
        return front, everything.max(axis=0) if len(everything) else np.ones(1)
    return front, reference_point(fine if len(fine) else everything)


def expected_improvement(target: Target, candidate: Screened, best: float) -> float:
    """Expected improvement of a goal over the best error, in unit errors, closed form."""
    unit = target.unit_error()
    mean = target.error(candidate.mean[target.property]) / unit
    std = max(candidate.std.get(target.property, 0.0) / unit, 1e-9)
    z = (best - mean) / std
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return max(0.0, std * (z * 0.5 * math.erfc(-z / math.sqrt(2)) + density))


def normal_points(m: int, rng: np.random.Generator) -> np.ndarray:
    """Sobol points of a standard normal distribution, scrambled, shape (`POINTS`, m)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    seed = int(rng.integers(2**31))
    uniform = qmc.Sobol(m, scramble=True, seed=seed).random(POINTS)
    return ndtri(np.clip(uniform, 1e-9, 1 - 1e-9))


def error_columns(targets: Sequence[Target], values: np.ndarray) -> np.ndarray:
    """Errors of values in unit errors, shape (n, m); values of goals and of `value` targets."""
    columns = []
    for target, column in zip(targets, values.T, strict=True):
        if target.value is not None:
            error = np.abs(column - target.value)
        else:
            worse = column - (target.reference or 0.0)
            error = worse if target.goal == "minimize" else -worse
        columns.append(error / target.unit_error())
    return np.stack(columns, axis=1)


def _hope(candidate: Screened, objectives: Sequence[Target]) -> list[float]:
    """Errors two spreads better than predicted."""
    return [
        (
            t.error(candidate.mean[t.property]) - 2 * candidate.std.get(t.property, 0.0)
        ) / t.unit_error()
        for t in objectives
    ]  # fmt: skip
