"""Targets: what a property should be, and how far a value is from it."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from defects.errors import TargetError

#: Half width, in the property's unit, of a `value` target that names none.
DEFAULT_TOLERANCE = 0.05


class Target(BaseModel):
    """One property and what it should be: a value, a range, one-sided, or an extreme."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    property: str = Field(min_length=1, description="name of the property")
    value: float | None = Field(None, allow_inf_nan=False, description="wanted value")
    tolerance: float = Field(
        DEFAULT_TOLERANCE, gt=0, allow_inf_nan=False, description="half width around value"
    )
    min: float | None = Field(None, allow_inf_nan=False, description="lower bound")
    max: float | None = Field(None, allow_inf_nan=False, description="upper bound")
    goal: Literal["minimize", "maximize"] | None = Field(None, description="an extreme")
    weight: float = Field(1.0, gt=0, le=1e6, description="weight in the surrogate error")
    scale: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="distance that counts as one among several targets, in the property's unit; "
        "by default the tolerance, half the range, or the spread of the dataset's labels",
    )
    reference: float | None = Field(
        None,
        allow_inf_nan=False,
        description="for a goal: the value that its error counts from; by default the best label",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Target:
        ranged = self.min is not None or self.max is not None
        kinds = [self.value is not None, ranged, self.goal is not None]
        if sum(kinds) != 1:
            raise ValueError(
                "give exactly one of: value (with tolerance), min and/or max, goal "
                f"(target for {self.property})"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}; swap them")
        if "tolerance" in self.model_fields_set and self.value is None:
            raise ValueError("tolerance goes with value, not with a range or a goal")
        if self.reference is not None and self.goal is None:
            raise ValueError("reference goes with a goal, not with a value or a range")
        return self

    def bounds(self) -> tuple[float, float]:
        """Interval of values that meet the target; the whole line for a goal."""
        if self.value is not None:
            return self.value - self.tolerance, self.value + self.tolerance
        low = -math.inf if self.min is None else self.min
        return low, math.inf if self.max is None else self.max

    def satisfied(self, value: float) -> bool:
        """Whether a value meets the target; always for a goal."""
        low, high = self.bounds()
        return low <= value <= high

    def error(self, value: float) -> float:
        """Distance from what is wanted, in the property's unit.

        The distance to the value, the distance out of the range (0 inside), or for a goal how much
        worse than `reference` it is: negative for what is better. Without a reference that is the
        value itself (minimize) or its negative (maximize), which orders but has no zero.
        """
        if math.isnan(value):
            return math.inf
        if self.value is not None:
            return abs(value - self.value)
        if self.goal is not None:
            worse = value - (self.reference or 0.0)
            return worse if self.goal == "minimize" else -worse
        low, high = self.bounds()
        return max(low - value, value - high, 0.0)

    def unit_error(self) -> float:
        """Distance that counts as one when errors of several properties are put together.

        `scale` where it is given; else the tolerance, or half the width of a range. What is open
        on one side has no width: 1 in its unit, unless `resolved` found the labels' spread.
        """
        if self.scale is not None:
            return self.scale
        if self.value is not None:
            return self.tolerance
        low, high = self.bounds()
        half = (high - low) / 2
        return half if math.isfinite(half) and half > 0 else 1.0

    def text(self) -> str:
        """``homo_lumo_gap = 1.1 ± 0.05``, for tables."""
        if self.value is not None:
            return f"{self.property} = {self.value:g} ± {self.tolerance:g}"
        if self.goal is not None:
            return f"{self.goal} {self.property}"
        if self.min is None:
            return f"{self.property} ≤ {self.max:g}"
        if self.max is None:
            return f"{self.property} ≥ {self.min:g}"
        return f"{self.property} in {self.min:g}..{self.max:g}"


def surrogate_error(targets: Sequence[Target], values: Mapping[str, float]) -> float:
    """Weighted mean distance between what is asked for and what is predicted.

    The paper's filter (Al-Maeeni et al. 2024) for one target: in the property's unit. For several
    Σ w·error / Σ w with w = weight / `Target.unit_error`: a tolerance of one property counts as
    much as a tolerance of another, whatever their units. The sum is divided by the w and not by
    the weights, so that among properties in eV it stays a distance in eV.
    """
    if len(targets) == 1:
        return targets[0].error(values[targets[0].property])
    weights = [t.weight / t.unit_error() for t in targets]
    errors = [t.error(values[t.property]) for t in targets]
    return sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)


def resolved(targets: Sequence[Target], known: Sequence[Mapping[str, float]]) -> tuple[Target, ...]:
    """The targets with what they leave to the labels written out: scales and references.

    Parameters
    ----------
    targets : sequence of Target
    known : sequence of mappings
        Properties of labelled configurations.

    Returns
    -------
    tuple of Target
        Half-open ranges and goals get the standard deviation of the labels as `scale`, goals the
        best label as `reference`; what is set already, or has fewer than two labels, stays.
    """
    return tuple(_resolved(t, [r[t.property] for r in known if t.property in r]) for t in targets)


def _resolved(target: Target, labels: Sequence[float]) -> Target:
    finite = [v for v in labels if math.isfinite(v)]
    if len(finite) < 2:
        return target
    update: dict[str, float] = {}
    low, high = target.bounds()
    if target.scale is None and not math.isfinite(high - low):
        spread = statistics.pstdev(finite)
        if spread > 0:
            update["scale"] = spread
    if target.goal is not None and target.reference is None:
        update["reference"] = min(finite) if target.goal == "minimize" else max(finite)
    return target.model_copy(update=update)


def probability_of_meeting(
    targets: Sequence[Target], mean: Mapping[str, float], std: Mapping[str, float]
) -> float:
    """Probability that all targets are met, properties independent and normal around `mean`."""
    probability = 1.0
    for target in targets:
        low, high = target.bounds()
        m, s = mean[target.property], max(std.get(target.property, 0.0), 1e-6)
        probability *= _normal_cdf((high - m) / s) - _normal_cdf((low - m) / s)
    return probability


@dataclass(frozen=True)
class Prospect:
    """What a prediction promises of the targets.

    Attributes
    ----------
    error : float
        The surrogate error.
    probability : float
        Of meeting all targets.
    meets : bool
        Whether the mean meets them all.
    by_error, order : tuple of float
        Smaller comes first. `by_error` is what the paper's filter keeps by, among equals the
        likelier; `order` how those worth keeping follow each other (see `prospect`).
    """

    error: float
    probability: float
    meets: bool
    by_error: tuple[float, ...]
    order: tuple[float, ...]


def meets_all(targets: Sequence[Target], values: Mapping[str, float]) -> bool:
    """Whether a label or a mean meets every target; a property without a value meets none."""
    return all(t.property in values and t.satisfied(values[t.property]) for t in targets)


def prospect(
    targets: Sequence[Target],
    mean: Mapping[str, float],
    std: Mapping[str, float],
    error: float | None = None,
) -> Prospect:
    """Judge a prediction, as campaigns select and as a design request ranks.

    Means that meet all targets come first, then the likelier, then the smaller error: inside a
    range many have error 0, and where spreads are too wide the probability alone prefers one
    property far inside its bound to all inside theirs. A goal is met by any value: where there is
    one the error orders, among equals the probability.

    Parameters
    ----------
    targets : sequence of Target
    mean, std : mapping
        Property -> prediction and spread.
    error : float, optional
        The surrogate error, where it is known already.
    """
    if error is None:
        error = surrogate_error(targets, mean)
    chance = probability_of_meeting(targets, mean, std)
    meets = meets_all(targets, mean)
    by_error = (error, -chance)
    goal = any(t.goal is not None for t in targets)
    order = by_error if goal else (float(not meets), -chance, error)
    return Prospect(error, chance, meets, by_error, order)


def _normal_cdf(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def parse_target(text: str) -> Target:
    """A target from the command line.

    ``gap=1.1``, ``gap=1.1+-0.05``, ``gap=0.9..1.2``, ``gap>=1``, ``gap<=1``, ``gap=min``,
    ``gap=max``.

    Raises
    ------
    TargetError
        When the text is none of these.
    """
    match = re.match(r"^\s*([a-z_][a-z0-9_]*)\s*(<=|>=|=)\s*(.+?)\s*$", text)
    if match is None:
        raise TargetError(f"target {text!r}: write property=1.10, =0.9..1.2, >=1 or <=2")
    name, operator, rest = match.groups()
    if operator in ("<=", ">=") and re.fullmatch(_NUMBER, rest):
        return Target(property=name, **{"max" if operator == "<=" else "min": float(rest)})
    if operator == "=":
        if rest in ("min", "max", "minimize", "maximize"):
            return Target(property=name, goal="minimize" if rest.startswith("min") else "maximize")
        if re.fullmatch(_NUMBER, rest):
            return Target(property=name, value=float(rest))
        between = re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", rest)
        if between:
            low, high = map(float, between.groups())
            if low > high:
                raise TargetError(f"target {text!r}: {low:g} is above {high:g}; swap them")
            return Target(property=name, min=low, max=high)
        around = re.fullmatch(rf"({_NUMBER})(?:\+-|±)({_NUMBER})", rest)
        if around and float(around[2]) > 0:
            return Target(property=name, value=float(around[1]), tolerance=float(around[2]))
    raise TargetError(f"target {text!r}: write property=1.10, =0.9..1.2, >=1 or <=2")
