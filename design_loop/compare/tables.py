"""A comparison in words: the same tables on the terminal and in the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from design_loop.compare.equal_time import EqualTime, Moment, equal_time
from design_loop.compare.outcome import Outcome
from design_loop.compare.spread import Spread
from design_loop.compare.summary import (
    ArmSummary,
    Difference,
    call_budget,
    differences,
    summarise,
)
from design_loop.config import CampaignConfig
from design_loop.progress.state import duration
from design_loop.summary import error_unit

if TYPE_CHECKING:
    from rich.table import Table

#: How cells are to be read.
LEGEND = (
    "Cells are means over the seeds with the mean's 95 % interval (Student's t); = where all seeds "
    "agree, n=1 where there is a single one and so no interval."
)
#: More seeds than these are told by their range.
_LISTED = 8


@dataclass(frozen=True)
class WordTable:
    """A table of words: title, a note on what it holds, headings, rows.

    The first column is of words, to the left; the others are of numbers.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def word_tables(
    outcomes: Sequence[Outcome], config: CampaignConfig, call_hours: float
) -> list[WordTable]:
    """All tables of a comparison; those that would hold nothing are left out.

    Parameters
    ----------
    outcomes : sequence of Outcome
        At least one.
    config : CampaignConfig
        The task.
    call_hours : float
        Assumed hours of an oracle call in the second table of equal time; 0 leaves that out.
    """
    arms = summarise(outcomes, config)
    tables = [
        _found(arms, config, call_budget(outcomes, config)),
        _spent(arms),
        _at_times(arms, equal_time(outcomes)),
    ]
    if call_hours:
        tables.append(_at_times(arms, equal_time(outcomes, call_hours)))
    pairs = differences(outcomes)
    if pairs:
        tables.append(_apart(pairs))
    return tables


def _found(arms: Sequence[ArmSummary], config: CampaignConfig, budget: int) -> WordTable:
    unit = error_unit(config.targets, config.own_properties)
    columns: list[tuple[str, list[str]]] = [
        ("proposer", [a.arm for a in arms]),
        ("seeds", [str(a.seeds) for a in arms]),
        ("verified hits", [a.hits.text() for a in arms]),
        ("each seed", [_each(a.by_seed) for a in arms]),
        ("area", [_text(a.area, 2) for a in arms]),
    ]
    if any(a.times_random is not None for a in arms):
        ratios = ["-" if a.times_random is None else f"{a.times_random:.2f}" for a in arms]
        columns.append(("hits / random", ratios))
    if any(a.known_hits.high for a in arms):
        columns.append(("known hits", [a.known_hits.text() for a in arms]))
    best = [_text(a.best_error, 3, of=a.seeds) for a in arms]
    columns.append((f"best error ({unit})" if unit else "best error", best))
    note = (
        f"Verified hits of {budget} oracle calls that were not in the dataset. Area: hits in the "
        "course of the calls, 1 if every call were a hit; of equally many hits the earlier ones "
        "have more."
    )
    return _table("Found at equal proposals and oracle calls", note, columns)


def _spent(arms: Sequence[ArmSummary]) -> WordTable:
    columns = [
        ("proposer", [a.arm for a in arms]),
        ("seeds", [str(a.seeds) for a in arms]),
        ("samples", [a.samples.text(0) for a in arms]),
        ("new valid proposals", [a.proposals.text(0) for a in arms]),
        ("surrogate calls", [a.evaluations.text(0) for a in arms]),
        ("oracle calls", [a.calls.text(0) for a in arms]),
        ("seconds", [a.seconds.text(0) for a in arms]),
        ("outside the oracle", [a.own_seconds.text(0) for a in arms]),
    ]
    note = (
        "Samples are answers given; new valid proposals passed the check and were new, and with a "
        "table as oracle the budget is over these. Surrogate calls count those inside a proposer. "
        "Seconds are of a campaign's own clock: pauses do not count, labels that another campaign "
        "had computed cost what they cost there."
    )
    return _table("Spent", note, columns)


def _at_times(arms: Sequence[ArmSummary], found: EqualTime) -> WordTable:
    columns = [
        ("proposer", [a.arm for a in arms]),
        ("seeds", [str(a.seeds) for a in arms]),
    ]
    for i, moment in enumerate(found.moments):
        columns.append((_heading(moment), [found.hits[a.arm][i].text() for a in arms]))
    stays = "A campaign that has ended stays at its last value."
    if found.call_hours is None:
        return _table("Verified hits at equal wall time", f"As measured here. {stays}", columns)
    cost = f"{found.call_hours:g} h"
    note = (
        f"What each campaign took outside the oracle, and {cost} for each of its calls, one after "
        f"the other. {stays}"
    )
    title = f"Verified hits at equal wall time, if an oracle call took {cost}"
    return _table(title, note, columns)


def _apart(pairs: Sequence[Difference]) -> WordTable:
    columns = [
        ("hits of", [f"{p.first} - {p.second}" for p in pairs]),
        ("seeds", [str(len(p.seeds)) for p in pairs]),
        ("difference", [p.hits.text(sign="+") for p in pairs]),
        ("each seed", [_each(p.by_seed, "+") for p in pairs]),
    ]
    note = (
        "Seed by seed: campaigns of one seed have their dataset and first surrogate in common. An "
        "interval that holds 0 leaves open which of the two finds more."
    )
    return _table("Differences in hits, paired by seed", note, columns)


def _table(title: str, note: str, columns: Sequence[tuple[str, Sequence[str]]]) -> WordTable:
    names = tuple(name for name, _ in columns)
    return WordTable(title, note, names, tuple(zip(*(cells for _, cells in columns), strict=True)))


def _heading(moment: Moment) -> str:
    what = f"half of {moment.arm}'s" if moment.half else f"{moment.arm} ends"
    return f"{what}, {duration(moment.seconds)}"


def _text(found: Spread | None, digits: int, of: int | None = None) -> str:
    """A figure; of fewer seeds than it should be, with their number."""
    if found is None:
        return "-"
    missing = of is not None and 1 < found.n < of
    return found.text(digits) + (f" n={found.n}" if missing else "")


def _each(counts: Sequence[int], sign: str = "") -> str:
    """Every seed's count, or their range where there are many."""
    if len(counts) <= _LISTED:
        return ", ".join(f"{c:{sign}d}" for c in counts)
    return f"{min(counts):{sign}d} to {max(counts):{sign}d}"


def terminal_tables(
    outcomes: Sequence[Outcome], config: CampaignConfig, call_hours: float, width: int
) -> list[Table]:
    """The comparison for a terminal of `width` characters."""
    from rich import box
    from rich.table import Table

    made = []
    for found in word_tables(outcomes, config, call_hours):
        table = Table(
            title=found.title,
            caption=found.note,
            title_justify="left",
            caption_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        widest = [max(map(len, column)) for column in zip(found.columns, *found.rows, strict=True)]
        narrow = sum(widest) + 3 * len(widest) > width
        for i, name in enumerate(found.columns):
            mark = ", " if ", " in name else " "
            heading = name.replace(mark, f"{mark.strip()}\n") if narrow else name
            table.add_column(heading, justify="right" if i else "left")
        for row in found.rows:
            # Left to itself rich breaks where it likes, within numbers too.
            table.add_row(*(re.sub(r" \((?!=)", "\n(", c) if narrow else c for c in row))
        made.append(table)
    return made
