"""What a round asks the model for: values drawn from the targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from defects.targets import Target, meets_all, surrogate_error

#: A target that fewer known rows meet is also asked for by the values of so many nearest ones.
_FEW = 5
#: And by those of so many nearest ones that the model was taught without a label.
_TAUGHT = 40
#: Share of the prompts that then do so.
_BRIDGED = 0.5
#: Share of the known values that stands for an extreme that is to be minimised or maximised.
_EXTREME = 0.05


class Asking:
    """What the prompts of a round ask for.

    A language model is asked for numbers, not for ranges: of a range any number in it will do, so
    the prompts of a round spread over it. Open ends are closed by what is known to exist. Where
    hardly anything known meets the targets, the model has seen no such number and would answer it
    by what it resembles as text; half of the prompts then ask for the nearest values that it has
    seen, known ones or a surrogate's, and what lies between is found among their answers.

    Parameters
    ----------
    targets : sequence of Target
    known : sequence of mappings
        Properties of labelled configurations, for the open ends. Ranked here, once for all prompts.
    taught : sequence of mappings
        Properties of configurations that the model was taught without a label.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        known: Sequence[Mapping[str, float]],
        taught: Sequence[Mapping[str, float]] = (),
    ) -> None:
        self._targets = targets
        names = [t.property for t in targets]
        #: Those that say something of every target.
        self._rows = [r for r in known if all(n in r for n in names)]
        self._open = [t for t in targets if not all(math.isfinite(end) for end in t.bounds())]
        self._errors = np.array(
            [sum(t.error(r[t.property]) for t in self._open) for r in self._rows]
        )
        self._bridges = _bridges(targets, self._rows)
        if self._bridges:
            said = [r for r in taught if all(n in r for n in names)]
            self._bridges += _nearest(targets, said, _TAUGHT)

    def draw(
        self,
        rng: np.random.Generator,
        jitter: float = 0.0,
        shares: Mapping[str, Sequence[float]] | None = None,
    ) -> dict[str, float]:
        """One value per target for a prompt.

        Parameters
        ----------
        rng : numpy Generator
        jitter : float
            Closed targets are widened by this share of their width.
        shares : mapping, optional
            Property -> how often each of so many equal parts of its range is asked for, from the
            low end; the outer parts reach as far as the range is widened. Evenly without.

        Returns
        -------
        dict
            Property -> value, in the property's unit.
        """
        if self._bridges and rng.random() < _BRIDGED:
            row = self._bridges[int(rng.choice(len(self._bridges)))]
            return {t.property: float(row[t.property]) for t in self._targets}
        asked: dict[str, float] = {}
        for target in self._targets:
            low, high = target.bounds()
            if math.isfinite(low) and math.isfinite(high):
                if target.value is not None and jitter == 0:
                    asked[target.property] = target.value
                    continue
                slack = jitter * (high - low) / 2
                ends = (low - slack, high + slack)
                if shares is not None and target.property in shares:
                    ends = _part(low, high, slack, shares[target.property], rng)
                asked[target.property] = float(rng.uniform(*ends))
        if self._open:
            row = self._row_like(asked, rng)
            asked |= {t.property: _inside(t, row.get(t.property)) for t in self._open}
        return {t.property: asked[t.property] for t in self._targets}

    def _row_like(
        self, asked: Mapping[str, float], rng: np.random.Generator
    ) -> Mapping[str, float]:
        """A known set of values near the targets, so that what is asked for together can exist."""
        rows = self._rows
        if not rows:
            return {}
        far = np.array([sum(abs(r[n] - v) for n, v in asked.items()) for r in rows])
        # Those that meet the open targets and lie nearest to the values drawn already.
        order = np.lexsort((rng.random(len(rows)), far, self._errors))
        nearest = order[: max(5, int(_EXTREME * len(rows)))]
        return rows[int(rng.choice(nearest))]


def draw_asked(
    targets: Sequence[Target],
    known: Sequence[Mapping[str, float]],
    rng: np.random.Generator,
    jitter: float = 0.0,
    shares: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, float]:
    """The values of a single prompt; for many see `Asking`, which ranks what is known once."""
    return Asking(targets, known).draw(rng, jitter, shares)


def _bridges(
    targets: Sequence[Target], rows: Sequence[Mapping[str, float]]
) -> list[Mapping[str, float]]:
    """Known rows next to targets that few meet; none where enough do, or too little is known."""
    if len(rows) < _FEW or all(t.goal is not None for t in targets):
        return []
    if sum(meets_all(targets, r) for r in rows) >= _FEW:
        return []
    return _nearest(targets, rows, _FEW)


def _nearest(
    targets: Sequence[Target], rows: Sequence[Mapping[str, float]], n: int
) -> list[Mapping[str, float]]:
    errors = np.array([surrogate_error(targets, r) for r in rows])
    return [rows[i] for i in np.argsort(errors, kind="stable")[:n]]


def _part(
    low: float, high: float, slack: float, shares: Sequence[float], rng: np.random.Generator
) -> tuple[float, float]:
    """A part of a range, by its share."""
    chances = np.asarray(shares, dtype=float)
    n = len(chances)
    part = int(rng.choice(n, p=chances / chances.sum()))
    width = (high - low) / n
    start, end = low + part * width, low + (part + 1) * width
    return start - (slack if part == 0 else 0.0), end + (slack if part == n - 1 else 0.0)


def _inside(target: Target, value: float | None) -> float:
    low, high = target.bounds()
    if value is None:
        value = 0.0 if target.goal or not math.isfinite(low + high) else (low + high) / 2
    return float(min(max(value, low), high))
