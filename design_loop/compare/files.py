"""A comparison as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from design_loop.compare.code import code_note
from design_loop.compare.equal_time import EqualTime, equal_time
from design_loop.compare.outcome import Outcome
from design_loop.compare.spread import Spread
from design_loop.compare.summary import ArmSummary, differences, summarise
from design_loop.config import CampaignConfig


def write_files(
    outcomes: Sequence[Outcome], config: CampaignConfig, call_hours: float, out: Path
) -> None:
    """Write everything but the page; each file is replaced whole or not at all.

    Parameters
    ----------
    outcomes : sequence of Outcome
        At least one.
    config : CampaignConfig
        The task.
    call_hours : float
        As in `design_loop.compare.tables.word_tables`.
    out : Path
        Gets ``compare.csv`` (a row per oracle call), ``arms.csv`` (a row per arm), ``times.csv`` (a
        row per arm and common time), ``pairs.csv`` (a row per difference between two arms) and
        ``compare.json``.
    """
    _write_csv(out / "compare.csv", CALLS, _calls(outcomes))
    _write_csv(out / "arms.csv", ARM_COLUMNS, map(_arm, summarise(outcomes, config)))
    clocks = [equal_time(outcomes)]
    if call_hours:
        clocks.append(equal_time(outcomes, call_hours))
    _write_csv(out / "times.csv", TIMES, (row for clock in clocks for row in _times(clock)))
    _write_csv(out / "pairs.csv", PAIRS, _pairs(outcomes))
    content = {
        "task": config.model_dump(mode="json"),
        "code_note": code_note(outcomes),
        "arms": [asdict(row) for row in summarise(outcomes, config)],
        "equal_time": [asdict(clock) for clock in clocks],
        "differences": [asdict(pair) for pair in differences(outcomes)],
        "runs": [_run(o) for o in outcomes],
    }
    write_whole(out / "compare.json", json.dumps(content, indent=1, allow_nan=False) + "\n")


#: What a `Spread` is in a row: ``hits_mean``, ``hits_interval_low``.
_ENDS = ("mean", "low", "high", "n", "interval_low", "interval_high")


def _spread_columns(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{end}" for end in _ENDS)


CALLS = ("arm", "seed", "campaign", "call", "seconds", "own_seconds", "hit", "new", "error", "hits",
         "best_error")  # fmt: skip
_SPREADS = ("samples", "proposals", "evaluations", "calls", "hits", "area", "known_hits",
            "best_error", "seconds", "own_seconds")  # fmt: skip
ARM_COLUMNS = (
    "arm",
    "seeds",
    "times_random",
    *(column for name in _SPREADS for column in _spread_columns(name)),
)
TIMES = ("call_hours", "seconds", "of_arm", "half", "arm", *_spread_columns("hits"))
PAIRS = ("first", "second", "seeds", *_spread_columns("difference"))


def _calls(outcomes: Sequence[Outcome]) -> Iterable[dict[str, Any]]:
    """Every call with what was found so far, so that every curve can be drawn again."""
    for o in outcomes:
        hits, best = 0, math.inf
        for call in o.calls:
            hits += call.hit and call.new
            best = min(best, call.error)
            values = (o.arm, o.seed, o.campaign, call.number, round(call.seconds, 3),
                      round(call.own_seconds, 3), int(call.hit), int(call.new), call.error, hits,
                      best)  # fmt: skip
            yield dict(zip(CALLS, values, strict=True))


def _arm(row: ArmSummary) -> dict[str, Any]:
    flat = {"arm": row.arm, "seeds": row.seeds, "times_random": row.times_random}
    for name in _SPREADS:
        flat |= _flat(name, getattr(row, name))
    return flat


def _times(clock: EqualTime) -> Iterable[dict[str, Any]]:
    """An empty ``call_hours`` is the time that was measured."""
    for arm, hits in clock.hits.items():
        for moment, found in zip(clock.moments, hits, strict=True):
            values = (clock.call_hours, round(moment.seconds, 3), moment.arm, int(moment.half), arm)
            yield dict(zip(TIMES, values, strict=False)) | _flat("hits", found)


def _pairs(outcomes: Sequence[Outcome]) -> Iterable[dict[str, Any]]:
    for pair in differences(outcomes):
        seeds = " ".join(map(str, pair.seeds))
        yield {"first": pair.first, "second": pair.second, "seeds": seeds} | _flat(
            "difference", pair.hits
        )


def _flat(name: str, found: Spread | None) -> dict[str, Any]:
    """One cell per number; what is not known is empty."""
    if found is None:
        return dict.fromkeys(_spread_columns(name))
    values = (found.mean, found.low, found.high, found.n, *(found.interval or (None, None)))
    return dict(zip(_spread_columns(name), values, strict=True))


def _run(outcome: Outcome) -> dict[str, Any]:
    """A campaign as plain data; JSON has no infinite error."""
    calls = [
        asdict(call) | {"error": call.error if math.isfinite(call.error) else None}
        for call in outcome.calls
    ]
    return asdict(outcome) | {
        "calls": calls,
        "hits": outcome.hits,
        "known_hits": outcome.known_hits,
        "best_error": outcome.best_error,
    }


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def write_whole(path: Path, text: str) -> None:
    """Replace a file whole or not at all."""
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
