"""Which candidates the oracle sees: the best by a strategy, made diverse; some to learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from defects.targets import Target
from design_loop.selection.candidates import Choice, Score, Screened
from design_loop.selection.diversity import greedy
from design_loop.selection.strategies import STRATEGIES

OutOfDomain = Literal["ignore", "avoid", "explore"]

#: Candidates per call among which exploration looks for different ones.
_EXPLORED = 8


def select(
    candidates: Sequence[Screened],
    targets: Sequence[Target],
    *,
    quantile: float,
    budget: int,
    diversity: float,
    max_std: Mapping[str, float] | None = None,
    strategy: str = "quantile",
    exploration: float = 0.0,
    out_of_domain: OutOfDomain = "ignore",
    known: Sequence[Mapping[str, float]] = (),
    rng: np.random.Generator | None = None,
) -> list[Choice]:
    """Choose up to `budget` candidates for the oracle.

    A strategy orders the candidates, the best quantile is kept (of surrogate errors that is the
    paper's filter, Al-Maeeni et al. 2024), the strategy may order those anew, and a greedy pass
    trades that order against the distance to those already chosen, so that the oracle's budget is
    not spent on near copies. A share of the
    budget goes to what the surrogate is least sure of, whatever it predicts.

    Parameters
    ----------
    candidates : sequence of Screened
    targets : sequence of Target
    quantile : float
        Share kept by the strategy's order, in (0, 1].
    budget : int
    diversity : float
        0: order alone, 1: distance alone.
    max_std : mapping, optional
        Property -> largest spread that is trusted; candidates beyond it are for exploration only.
    strategy : str
        One of `STRATEGIES`.
    exploration : float
        Share of the budget for the largest spread, as the sum over the targets in unit errors.
    out_of_domain : {"ignore", "avoid", "explore"}
        ``avoid``: only when nothing else is left. ``explore``: not by the strategy, but the first
        of the exploration's share.
    known : sequence of mappings
        Properties of everything labelled so far, for strategies that improve on it.
    rng : numpy Generator, optional

    Returns
    -------
    list of Choice
        In the order chosen; empty when there is nothing to choose from.
    """
    rng = rng or np.random.default_rng(0)
    limits = max_std or {}
    trusted = [c for c in candidates if all(c.std[p] <= s for p, s in limits.items())]
    apart = out_of_domain != "ignore"
    first = [c for c in trusted if not (apart and c.out_of_domain)]
    reserve = [c for c in trusted if apart and c.out_of_domain]
    pick = _Picks(strategy, targets, known, rng, quantile, diversity, len(trusted))
    for_learning = round(exploration * budget)
    pick.best(first, budget - for_learning, "best")
    if for_learning:
        explored = [c for c in candidates if not (c.out_of_domain and out_of_domain == "avoid")]
        pick.uncertain(explored, budget - len(pick.choices), out_of_domain == "explore")
    # What one share leaves goes to the other, and to what was to be avoided at the very last.
    pick.best(first, budget - len(pick.choices), "best")
    pick.best(reserve, budget - len(pick.choices), "reserve")
    return pick.choices


class _Picks:
    """Choices so far."""

    def __init__(
        self,
        strategy: str,
        targets: Sequence[Target],
        known: Sequence[Mapping[str, float]],
        rng: np.random.Generator,
        quantile: float,
        diversity: float,
        of: int,
    ) -> None:
        self.strategy, self.targets, self.known, self.rng = strategy, targets, known, rng
        self.quantile, self.diversity, self.of = quantile, diversity, of
        self.choices: list[Choice] = []
        self._chosen: dict[str, Screened] = {}

    def best(self, pool: Sequence[Screened], count: int, share: str) -> None:
        """Choose so many by the strategy."""
        pool = [c for c in pool if c.key not in self._chosen]
        if not pool or count < 1:
            return
        scores = STRATEGIES[self.strategy].scores(pool, self.targets, self.known, self.rng)
        ranked = sorted(
            zip(pool, scores, strict=True), key=lambda item: (*item[1].order, item[0].key)
        )
        # A quantile below the budget would leave oracle calls unused.
        kept = ranked[: max(1, math.ceil(self.quantile * len(ranked)), min(count, len(ranked)))]
        kept.sort(key=lambda item: (*(item[1].among or item[1].order), item[0].key))
        end = f" of {len(kept)} kept of {self.of}"
        if share == "reserve":
            end += ", outside of the surrogate's domain: nothing else was left"
        self._choose(kept, count, share, end, {"kept": len(kept), "of": self.of})

    def uncertain(self, pool: Sequence[Screened], count: int, outside_first: bool) -> None:
        """Choose so many of those that the surrogate is least sure of."""
        pool = [c for c in pool if c.key not in self._chosen]
        if not pool or count < 1:
            return
        spread = {c.key: _spread(c, self.targets) for c in pool}
        ranked = sorted(
            pool, key=lambda c: (not (outside_first and c.out_of_domain), -spread[c.key], c.key)
        )[: max(_EXPLORED * count, count)]
        judged = [
            (
                c,
                Score(
                    (-spread[c.key],),
                    {"spread": spread[c.key], "surrogate_error": c.surrogate_error},
                    f"to learn from: spread {spread[c.key]:.3g} unit errors"
                    + (", outside of the surrogate's domain" if c.out_of_domain else ""),
                ),
            )
            for c in ranked
        ]
        self._choose(judged, count, "explore", f" of {len(pool)} by spread", {"of": len(pool)})

    def _choose(
        self,
        ranked: Sequence[tuple[Screened, Score]],
        count: int,
        share: str,
        end: str,
        parts: Mapping[str, float],
    ) -> None:
        before = [c.configuration for c in self._chosen.values()]
        picked = greedy([c.configuration for c, _ in ranked], count, self.diversity, before)
        for place, nearest in picked:
            c, score = ranked[place]
            self._chosen[c.key] = c
            self.choices.append(
                Choice(
                    c.key,
                    len(self.choices) + 1,
                    f"{score.words}, place {place + 1}{end}",
                    {
                        "strategy": self.strategy,
                        "share": share,
                        "place": place + 1,
                        **parts,
                        "nearest": nearest,
                        "out_of_domain": c.out_of_domain,
                        **score.parts,
                    },
                )
            )


def _spread(candidate: Screened, targets: Sequence[Target]) -> float:
    """Sum of the spreads of what is asked for, in unit errors."""
    return sum(candidate.std.get(t.property, 0.0) / t.unit_error() for t in targets)
