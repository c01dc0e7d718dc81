"""A comparison as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from design_loop.compare.outcome import Outcome
from design_loop.config import CampaignConfig
from design_loop.summary import error_unit

if TYPE_CHECKING:
    from rich.table import Table

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
    """An arm over its seeds; `Spread` of each figure, None where there is nothing."""

    arm: str
    seeds: int
    proposals: Spread
    evaluations: Spread
    calls: Spread
    hits: Spread
    known_hits: Spread
    best_error: Spread | None
    seconds: Spread


def summarise(outcomes: Sequence[Outcome]) -> list[ArmSummary]:
    """One row per arm, in the order in which they come."""
    rows = []
    for arm in dict.fromkeys(o.arm for o in outcomes):
        mine = [o for o in outcomes if o.arm == arm]

        def spread(values: Sequence[float]) -> Spread:
            found = Spread.of(values)
            assert found is not None
            return found

        rows.append(
            ArmSummary(
                arm,
                len(mine),
                spread([o.proposals for o in mine]),
                spread([o.evaluations for o in mine]),
                spread([len(o.calls) + o.failed for o in mine]),
                spread([o.hits for o in mine]),
                spread([o.known_hits for o in mine]),
                Spread.of([o.best_error for o in mine if o.best_error is not None]),
                spread([o.seconds for o in mine]),
            )
        )
    return rows


def cells(row: ArmSummary) -> list[str]:
    """A row in words: mean over the seeds, smallest and largest in brackets."""
    return [
        row.arm,
        str(row.seeds),
        f"{row.proposals.mean:.0f}",
        f"{row.evaluations.mean:.0f}",
        f"{row.calls.mean:.0f}",
        row.hits.text(),
        f"{row.known_hits.mean:.1f}" if row.known_hits.high else "0",
        "-" if row.best_error is None else row.best_error.text(3),
        f"{row.seconds.mean:.0f}",
    ]


_HEADINGS = (
    "proposer", "seeds", "proposals", "surrogate calls", "oracle calls", "verified hits",
    "known hits", "best error", "seconds",
)  # fmt: skip


def headings(config: CampaignConfig) -> list[str]:
    """Names of the columns of `cells`."""
    unit = error_unit(config.targets, config.own_properties)
    return [f"{name} ({unit})" if name == "best error" and unit else name for name in _HEADINGS]


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
    for i, heading in enumerate(headings(config)):
        table.add_column(heading, justify="left" if i == 0 else "right")
    for row in summarise(outcomes):
        table.add_row(*cells(row))
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
