"""Rules so tight that drawing at random finds nothing: an integer program decides.

One binary variable per alternative, limits on numbers as rows, two alternatives that lie too near
as a row each. HiGHS (through SciPy) finds a configuration or proves that there is none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from defects.errors import RuleError

if TYPE_CHECKING:
    from defects.rules.ruleset import RuleSet
    from defects.rules.schema import Rules

#: How hard is tried: branch-and-bound nodes of one program, seconds in all, alternatives, and
#: pairs of them that lie too near.
NODES, SECONDS, ALTERNATIVES, PAIRS = 20_000, 10.0, 6000, 400_000
#: Rules that may be too tight, in the order in which one of them is named as the reason.
_OPTIONAL = ("min_separation", "counts", "concentration", "where", "frozen", "seeds")


class GaveUp(Exception):
    """Neither a configuration nor a proof that there is none within the bounds."""


def solve(
    rules: RuleSet,
    rng: np.random.Generator,
    n_defects: int | None = None,
    until: float | None = None,
) -> dict[int, str] | None:
    """Changes that keep the rules, or None when it is proven that there are none.

    Parameters
    ----------
    rules : RuleSet
    rng : numpy Generator
        Weighs the alternatives at random, so that solutions differ.
    n_defects : int, optional
        Exactly so many.
    until : float, optional
        Time of `time.monotonic` at which to give up; by default `SECONDS` from now.

    Raises
    ------
    GaveUp
        When the bounds were reached.
    """
    unsure = False
    until = until or time.monotonic() + SECONDS
    for i in rng.permutation(len(rules.seeds)):
        try:
            found = _solve(rules, rules.seeds[i], rng, n_defects, until)
        except GaveUp:
            unsure = True
            continue
        if found is not None:
            return found
    if unsure:
        raise GaveUp
    return None


def _solve(
    rules: RuleSet,
    seed: dict[int, str],
    rng: np.random.Generator,
    n_defects: int | None,
    until: float,
) -> dict[int, str] | None:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    given = rules.coded(seed)
    may = rules.allowed.copy()
    for s, k in given:
        may[s] = False
        may[s, k] = True
    site, kind = np.nonzero(may)
    if not len(site):
        return None
    seconds = until - time.monotonic()
    if len(site) > ALTERNATIVES or seconds <= 0:
        raise GaveUp
    fixed = np.array([s in seed for s in site])
    rows: list[tuple[np.ndarray, float, float]] = []
    for group in rules.groups:
        rows.append((np.flatnonzero(group.mask[site, kind]), group.low, group.high))
    if n_defects is not None:
        rows.append((np.arange(len(site)), n_defects, n_defects))
    crowded, counts = np.unique(site, return_counts=True)
    rows += [(np.flatnonzero(site == s), 0, 1) for s in crowded[counts > 1]]
    if rules.needed.any():
        near = rules.distance[np.ix_(site, site)] < rules.needed[np.ix_(kind, kind)]
        near &= (site[:, None] < site[None, :]) & ~(fixed[:, None] & fixed[None, :])
        first, second = np.nonzero(near)
        if len(first) > PAIRS:
            raise GaveUp
        rows += [(np.array(pair), 0, 1) for pair in zip(first, second, strict=True)]
    columns = np.concatenate([r for r, _, _ in rows])
    starts = np.cumsum([0, *(len(r) for r, _, _ in rows)])
    matrix = csr_array((np.ones(len(columns)), columns, starts), shape=(len(rows), len(site)))
    found = milp(
        rng.normal(size=len(site)),
        integrality=np.ones(len(site)),
        bounds=Bounds(fixed.astype(float), 1.0),
        constraints=LinearConstraint(matrix, [r[1] for r in rows], [r[2] for r in rows]),
        # Any solution will do: stop at the first.
        options={"node_limit": NODES, "time_limit": seconds, "mip_rel_gap": 1e9},
    )
    if found.x is not None:
        chosen = np.flatnonzero(np.round(found.x))
        return {int(site[a]): rules.species[kind[a]] for a in chosen}
    if found.status == 2:
        return None
    raise GaveUp


def infeasibility(rules: RuleSet) -> str | None:
    """Why no configuration keeps the rules; None where one does."""
    low, high = rules.groups[0].low, rules.groups[0].high
    host = rules.host
    if low > high:
        return f"no number of defects is at least {low} and at most {high} in {host.key}"
    sites = len(rules.options)
    if low > sites:
        return f"min_defects {low}, but only {sites} sites of {host.key} may change"
    if rules.rules.is_plain:
        return None
    until = time.monotonic() + SECONDS
    proven = _none(rules, until)
    if proven is None:
        return None
    how = (
        "no configuration keeps these rules"
        if proven
        else f"no configuration was found that keeps these rules (in {NODES} steps of a search)"
    )
    relaxed = [name for name in _OPTIONAL if _helps(rules.rules, name, rules, until)]
    if relaxed:
        return f"{how} in {host.key}: loosen {' or '.join(relaxed)}"
    return f"{how} in {host.key}: loosen several of them"


def _none(rules: RuleSet, until: float) -> bool | None:
    """None where a configuration keeps the rules, True if proven that none does, else False."""
    from defects.sampling import attempt

    rng = np.random.default_rng(0)
    if any(attempt(rules, rng) is not None for _ in range(16)):
        return None
    try:
        return True if solve(rules, rng, until=until) is None else None
    except GaveUp:
        return False


def _helps(rules: Rules, name: str, tight: RuleSet, until: float) -> bool:
    """Whether rules can be kept without one of them."""
    empty = type(rules).model_fields[name].get_default(call_default_factory=True)
    if getattr(rules, name) == empty:
        return False
    try:
        loose = rules.model_copy(update={name: empty}).on(tight.host)
    except RuleError:
        return False
    return loose.groups[0].low <= len(loose.options) and _none(loose, until) is None
