"""A figure over the seeds: its mean, its range, and how well the mean is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds.

    Attributes
    ----------
    mean, low, high : float
        Mean, smallest and largest value.
    n : int
        How many values.
    interval : tuple of float or None
        95 % confidence interval of the mean; see `mean_interval`.
    """

    mean: float
    low: float
    high: float
    n: int
    interval: tuple[float, float] | None

    @classmethod
    def of(
        cls, values: Sequence[float], floor: float = 0.0, ceiling: float = math.inf
    ) -> Spread | None:
        """None of no values; `floor` and `ceiling` as in `mean_interval`."""
        if not values:
            return None
        interval = mean_interval(values, floor, ceiling)
        return cls(sum(values) / len(values), min(values), max(values), len(values), interval)

    def text(self, digits: int = 1, sign: str = "") -> str:
        """``9.0 (6.5–11.5)``, ``24 (=)`` where all values agree, ``3.0 (n=1)`` of a single one.

        With ``+`` as `sign` positive numbers have one, too.
        """
        form = f"{sign}.{digits}f"
        if self.interval is None:
            known = "n=1"
        elif self.low == self.high:
            known = "="
        else:
            # A dash is no break for a narrow terminal, but not to be told from a minus.
            between = " to " if sign or self.interval[0] < 0 else "–"
            known = between.join(format(end, form) for end in self.interval)
        return f"{self.mean:{form}} ({known})"


def mean_interval(
    values: Sequence[float], floor: float = 0.0, ceiling: float = math.inf
) -> tuple[float, float] | None:
    """95 % confidence interval of the mean of some values, by Student's t.

    The t distribution with n - 1 degrees of freedom, as is right for few values of unknown spread
    that are roughly normal; a bootstrap of three values would be too narrow. It speaks of other
    seeds on the same task, not of other tasks.

    Parameters
    ----------
    values : sequence of float
        One per seed.
    floor, ceiling : float
        Between these the mean must lie, and so do the ends: counts are not negative, and hits not
        more than calls.

    Returns
    -------
    (low, high) or None
        None of a single value, which says nothing of its spread. Of no width where all agree:
        then more seeds are needed to know.
    """
    n = len(values)
    if n < 2:
        return None
    from scipy.special import stdtrit

    mean = sum(values) / n
    error = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)
    half = float(stdtrit(n - 1, 0.975)) * error
    return max(mean - half, floor), min(mean + half, ceiling)
