"""Compares kinds of surrogates on a dataset: one table, one parity plot per kind and property."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from defects.datasets import resolve_dataset
from defects.errors import DatasetError, DesignLoopError
from defects.surrogates.kinds import KINDS, check_kind
from training.parity_plot import parity_svg
from training.surrogate_cells import Cell, Problem, Settings, evaluate
from training.surrogate_kinds import missing
from training.surrogate_task import RELATED

logger = logging.getLogger(__name__)

#: Columns of the Markdown table: heading, key of the row, factor, format.
_COLUMNS: tuple[tuple[str, str, float, str], ...] = (
    ("labels", "labels", 1, "d"),
    ("MAE, meV", "mae", 1e3, ".2f"),
    ("RMSE, meV", "rmse", 1e3, ".1f"),
    ("R²", "r2", 1, ".4f"),
    ("within 20 meV", "within_20_mev", 100, ".1f"),
    ("coverage of 90 %", "coverage_90", 100, ".1f"),
    ("width of 90 %, meV", "width_90", 1e3, ".0f"),
    ("best quarter R²", "r2_best_quarter", 1, ".3f"),
    ("its RMSE, meV", "rmse_best_quarter", 1e3, ".2f"),
    ("random's best quarter R²", "r2_random_quarter", 1, ".3f"),
    ("its RMSE, meV", "rmse_random_quarter", 1e3, ".1f"),
    ("fit, CPU s", "fit_cpu_s", 1, ".1f"),
    ("predictions/s", "predictions_per_s", 1, ".0f"),
)


def compare(
    data_path: str | Path,
    properties: Sequence[str],
    out_dir: str | Path,
    *,
    kinds: Sequence[str] = (),
    settings: Settings | None = None,
    tell: Callable[[str], None] = logger.info,
) -> list[dict[str, Any]]:
    """Cross-validate kinds of surrogates on properties of a dataset.

    Parameters
    ----------
    data_path : path
        Dataset folder, or the name of a bundled dataset.
    properties : sequence of str
    out_dir : path
        Gets ``table.csv``, ``table.json``, ``table.md``, ``parity/PROPERTY--KIND.svg``, and in
        ``parts`` each finished kind and property, which a further call with the same labels and
        settings does not compute again.
    kinds : sequence of str
        All that there are, and ``auto``, when empty.
    settings : Settings, optional
    tell : callable
        Is told what is being done.

    Returns
    -------
    list of dict
        The rows. A kind that cannot be fitted has ``status`` "skipped" (a library is missing, or
        it has nothing to build on) or "failed", and ``reason``.

    Raises
    ------
    DatasetError
        When the dataset cannot be read, or has no usable labels of a property.
    ModelError
        When a kind is unknown.
    """
    settings = settings or Settings()
    chosen = list(dict.fromkeys(kinds)) or ["auto", *KINDS]
    for kind in chosen:
        if kind != "auto":
            check_kind(kind)
    dataset = resolve_dataset(str(data_path))
    problems = [Problem(dataset, name) for name in dict.fromkeys(properties)]
    out = Path(out_dir)
    try:
        (out / "parts").mkdir(parents=True, exist_ok=True)
        (out / "parity").mkdir(exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{out} cannot be written: {error.strerror or error}") from error
    rows: list[dict[str, Any]] = []
    for problem in problems:
        for kind in chosen:
            rows.append(_row(problem, kind, settings, out, tell))
            # After every row, so that what is there can be read while the rest runs.
            write_tables(rows, out, settings)
    return rows


def _row(
    problem: Problem, kind: str, settings: Settings, out: Path, tell: Callable[[str], None]
) -> dict[str, Any]:
    label = f"{problem.name}, {kind}"
    base = {"property": problem.name, "kind": kind, "labels": len(problem.truth)}
    reason = None if kind == "auto" else missing(kind)
    if reason is None and kind == "related" and len(problem.columns) < 2:
        other = RELATED.get(problem.name, ("",))[0]
        reason = f"no labels of {other}" if other else "no property is known to be related"
    if reason is not None:
        tell(f"{label}: skipped, {reason}")
        return {**base, "status": "skipped", "reason": reason}
    part = out / "parts" / f"{problem.name}--{kind}.json"
    signature = _signature(problem, kind, settings)
    known = _read(part, signature)
    if known is not None:
        tell(f"{label}: finished before")
        return known
    tell(f"{label}: {len(problem.truth)} labels")
    try:
        cell = evaluate(problem, kind, settings)
    except DesignLoopError as error:
        return _failed(base, label, str(error), tell)
    except Exception as error:
        # One kind must not cost the table of the others.
        logger.exception("%s failed", label)
        return _failed(base, label, f"{type(error).__name__}: {error}", tell)
    _write_atomically(
        out / "parity" / f"{problem.name}--{kind}.svg",
        parity_svg(cell.truth, cell.mean, cell.std, problem.name, kind),
    )
    _write_atomically(part, json.dumps({"signature": signature, **_content(cell)}))
    tell(f"{label}: MAE {1e3 * cell.row['mae']:.2f} meV, {cell.row['fit_cpu_s']:.1f} CPU s a fit")
    return cell.row


def _failed(
    base: dict[str, Any], label: str, reason: str, tell: Callable[[str], None]
) -> dict[str, Any]:
    line = reason.splitlines()[0] if reason else "without a message"
    tell(f"{label}: failed, {line}")
    return {**base, "status": "failed", "reason": line}


def _signature(problem: Problem, kind: str, settings: Settings) -> str:
    """Names what a part was computed from; threads change nothing but the time."""
    facts = {**asdict(settings), "threads": None, "kind": kind, "labels": problem.fingerprint()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _content(cell: Cell) -> dict[str, Any]:
    return {
        "row": cell.row,
        "predictions": {
            "key": cell.keys,
            "truth": np.round(cell.truth, 7).tolist(),
            "mean": np.round(cell.mean, 7).tolist(),
            "std": np.round(cell.std, 7).tolist(),
        },
    }


def _read(part: Path, signature: str) -> dict[str, Any] | None:
    """Row of a finished part; None where it is missing, damaged or of other labels or settings."""
    try:
        content = json.loads(part.read_text())
        row = content["row"]
        return row if content["signature"] == signature and isinstance(row, dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_tables(rows: Sequence[dict[str, Any]], out: Path, settings: Settings) -> None:
    """Write the rows as CSV, JSON and Markdown."""
    facts = {"settings": asdict(settings), "rows": list(rows)}
    _write_atomically(out / "table.json", json.dumps(facts, indent=1) + "\n")
    _write_atomically(out / "table.md", markdown(rows))
    names = list(dict.fromkeys(name for row in rows for name in row))
    path = out / "table.csv"
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table, the smallest error first within each property; then what is not in it."""
    head = ["property", "kind", *(heading for heading, *_ in _COLUMNS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    done = [row for row in rows if row["status"] == "done"]
    order = list(dict.fromkeys(row["property"] for row in rows))
    for row in sorted(done, key=lambda r: (order.index(r["property"]), r["mae"])):
        cells = [format(factor * row[key], spec) for _, key, factor, spec in _COLUMNS]
        kind = row["kind"] if row["chosen"] == row["kind"] else f"{row['kind']}: {row['chosen']}"
        lines.append("| " + " | ".join([row["property"], kind, *cells]) + " |")
    left = [row for row in rows if row["status"] != "done"]
    lines += [""] * bool(left)
    lines += [f"- {r['property']}, {r['kind']}: {r['status']}, {r['reason']}" for r in left]
    return "\n".join(lines) + "\n"


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)
