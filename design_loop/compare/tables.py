"""A comparison as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from design_loop.compare.outcome import Outcome
from design_loop.config import CampaignConfig
from design_loop.summary import error_unit

if TYPE_CHECKING:
    from rich.table import Table

#: The arm that the others are measured against.
RANDOM = "random"
COLUMNS = (
    "arm",
    "seed",
    "campaign",
    "call",
    "seconds",
    "hit",
    "new",
    "error",
    "hits",
    "best_error",
)


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None of no values."""
        if not values:
            return None
        return cls(sum(values) / len(values), min(values), max(values))

    def text(self, digits: int = 1) -> str:
        """``3.3 [2, 5]``."""
        low, high = (f"{v:.{digits}f}".removesuffix(".0") for v in (self.low, self.high))
        return f"{self.mean:.{digits}f} [{low}, {high}]"


@dataclass(frozen=True)
class ArmSummary:
    """An arm over its seeds; `Spread` of each figure, None where there is nothing.

    Attributes
    ----------
    arm, seeds
        Its name, and how many campaigns it had.
    samples, proposals, evaluations, calls, hits, known_hits, best_error, seconds
        As in `Outcome`; calls with those that failed.
    hits_interval : tuple of float or None
        95 % confidence interval of the mean hits; see `mean_interval`.
    times_random : float or None
        Mean hits by those of the ``random`` arm; None without that arm, or where it has none.
    """

    arm: str
    seeds: int
    samples: Spread
    proposals: Spread
    evaluations: Spread
    calls: Spread
    hits: Spread
    hits_interval: tuple[float, float] | None
    times_random: float | None
    known_hits: Spread
    best_error: Spread | None
    seconds: Spread


def mean_interval(counts: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the mean of some counts, by Student's t.

    The t distribution with n - 1 degrees of freedom, as is right for few values of unknown spread
    that are roughly normal; a bootstrap of three values would be too narrow. The lower end is not
    below 0. It speaks of other seeds on the same task, not of other tasks.

    Parameters
    ----------
    counts : sequence of float
        One per seed, not negative.

    Returns
    -------
    (low, high) or None
        None of a single value, which says nothing of its spread. Of no width where all agree:
        then more seeds are needed to know.
    """
    n = len(counts)
    if n < 2:
        return None
    from scipy.special import stdtrit

    mean = sum(counts) / n
    error = math.sqrt(sum((c - mean) ** 2 for c in counts) / (n - 1) / n)
    half = float(stdtrit(n - 1, 0.975)) * error
    return max(mean - half, 0.0), mean + half


def summarise(outcomes: Sequence[Outcome]) -> list[ArmSummary]:
    """One row per arm, in the order in which they come."""
    by_random = [o.hits for o in outcomes if o.arm == RANDOM]
    rows = []
    for arm in dict.fromkeys(o.arm for o in outcomes):
        mine = [o for o in outcomes if o.arm == arm]

        def spread(values: Sequence[float]) -> Spread:
            found = Spread.of(values)
            assert found is not None
            return found

        hits = [o.hits for o in mine]
        ratio = None
        if sum(by_random):
            ratio = (sum(hits) / len(hits)) / (sum(by_random) / len(by_random))
        rows.append(
            ArmSummary(
                arm,
                len(mine),
                spread([o.samples for o in mine]),
                spread([o.proposals for o in mine]),
                spread([o.evaluations for o in mine]),
                spread([len(o.calls) + o.failed for o in mine]),
                spread(hits),
                mean_interval(hits),
                ratio,
                spread([o.known_hits for o in mine]),
                Spread.of([o.best_error for o in mine if o.best_error is not None]),
                spread([o.seconds for o in mine]),
            )
        )
    return rows


def cells(row: ArmSummary) -> list[str]:
    """A row in words: mean over the seeds, smallest and largest in brackets."""
    interval = "-"
    if row.hits_interval is not None:
        interval = f"{row.hits_interval[0]:.1f} to {row.hits_interval[1]:.1f}"
    return [
        row.arm,
        str(row.seeds),
        f"{row.samples.mean:.0f}",
        f"{row.proposals.mean:.0f}",
        f"{row.evaluations.mean:.0f}",
        f"{row.calls.mean:.0f}",
        row.hits.text(),
        interval,
        "-" if row.times_random is None else f"{row.times_random:.2f}",
        f"{row.known_hits.mean:.1f}" if row.known_hits.high else "0",
        "-" if row.best_error is None else row.best_error.text(3),
        f"{row.seconds.mean:.0f}",
    ]


_HEADINGS = (
    "proposer", "seeds", "samples", "new valid proposals", "surrogate calls", "oracle calls",
    "verified hits", "95 % interval", "hits / random", "known hits", "best error", "seconds",
)  # fmt: skip


def rows_and_headings(
    outcomes: Sequence[Outcome], config: CampaignConfig
) -> tuple[list[str], list[list[str]]]:
    """The table in words; hits relative to random only where there is such an arm."""
    unit = error_unit(config.targets, config.own_properties)
    names = [f"{name} ({unit})" if name == "best error" and unit else name for name in _HEADINGS]
    rows = [cells(row) for row in summarise(outcomes)]
    if not any(o.arm == RANDOM for o in outcomes):
        place = _HEADINGS.index("hits / random")
        for row in (names, *rows):
            del row[place]
    return names, rows


def compare_table(outcomes: Sequence[Outcome], config: CampaignConfig) -> Table:
    """The comparison for a terminal."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{config.name}: {'; '.join(t.text() for t in config.targets)}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    names, rows = rows_and_headings(outcomes, config)
    for i, name in enumerate(names):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table


def write_csv(outcomes: Sequence[Outcome], config: CampaignConfig, path: Path) -> None:
    """A row per oracle call, so that every curve can be drawn again."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for o in outcomes:
        hits, best = 0, float("inf")
        for call in o.calls:
            hits += call.hit and call.new
            best = min(best, call.error)
            writer.writerow(
                [o.arm, o.seed, o.campaign, call.number, round(call.seconds, 3), int(call.hit),
                 int(call.new), call.error, hits, best]
            )  # fmt: skip
    write_whole(path, text.getvalue())


def write_arms_csv(outcomes: Sequence[Outcome], path: Path) -> None:
    """A row per arm: every figure's mean, lowest and highest, the hits' interval and ratio."""
    rows = [_flat(asdict(row)) for row in summarise(outcomes)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """One cell per number: ``hits_mean``, ``hits_interval_low``; what is not known is empty."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "hits_interval":
            low, high = value or (None, None)
            flat |= {f"{name}_low": low, f"{name}_high": high}
        elif name in ("arm", "seeds", "times_random"):
            flat[name] = value
        else:
            ends = value or dict.fromkeys(("mean", "low", "high"))
            flat |= {f"{name}_{end}": number for end, number in ends.items()}
    return flat


def write_json(outcomes: Sequence[Outcome], config: CampaignConfig, path: Path) -> None:
    """Task, table and all runs."""
    content = {
        "task": config.model_dump(mode="json"),
        "arms": [asdict(row) for row in summarise(outcomes)],
        "runs": [
            asdict(o) | {"hits": o.hits, "known_hits": o.known_hits, "best_error": o.best_error}
            for o in outcomes
        ],
    }
    write_whole(path, json.dumps(content, indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Replace a file whole or not at all."""
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
