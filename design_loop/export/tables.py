"""Candidates as tables: CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from design_loop.columns import FACT_COLUMNS, PREDICTED, SPREAD
from design_loop.export.items import Item
from design_loop.summary import CampaignSummary, RankedCandidate


def as_csv(items: Sequence[Item], files: Sequence[str] | None) -> str:
    """A row per candidate; labels with all their digits, so that they can be read back."""
    candidates = [item.candidate for item in items]
    properties = list(dict.fromkeys(p for c in candidates for p in c.properties))
    predicted = list(
        dict.fromkeys(p for c in candidates if c.prediction for p in c.prediction.mean)
    )
    header = ["_id", *FACT_COLUMNS, *properties]
    header += [n for p in predicted for n in (p + PREDICTED, p + SPREAD)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header + (["file"] if files else []))
    for i, c in enumerate(candidates):
        row: list[Any] = [c.key, c.rank, c.description, str(c.meets).lower(), _rounded(c.error)]
        row += [c.round, c.labelled_in, c.adapter or "", source_of(c) or ""]
        row += [_yes(items[i].relaxed is not None)]
        row += [_exact(c.properties.get(p)) for p in properties]
        for p in predicted:
            row.append(_rounded(c.prediction.mean.get(p) if c.prediction else None))
            row.append(_rounded(c.prediction.std.get(p) if c.prediction else None))
        writer.writerow(row + ([files[i]] if files else []))
    return stream.getvalue()


def as_json(summary: CampaignSummary, items: Sequence[Item]) -> str:
    """Structures as pymatgen writes them, with labels and predictions."""
    found = [
        candidate_dict(item.candidate)
        | {"relaxed": item.relaxed is not None, "structure": item.structure().as_dict()}
        for item in items
    ]
    content = {
        "campaign": summary.campaign.id,
        "targets": [t.text() for t in summary.targets],
        "candidates": found,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def candidate_dict(candidate: RankedCandidate) -> dict[str, Any]:
    """A candidate as plain data without infinities."""
    prediction = candidate.prediction
    return {
        "rank": candidate.rank,
        "key": candidate.key,
        "defects": candidate.description,
        "configuration": dict(candidate.configuration),
        "meets_targets": candidate.meets,
        "error": candidate.error if math.isfinite(candidate.error) else None,
        "round": candidate.round,
        "labelled_in": candidate.labelled_in,
        "adapter": candidate.adapter,
        "source": source_of(candidate),
        "properties": dict(candidate.properties),
        "asked": dict(candidate.asked),
        "predicted": None
        if prediction is None
        else {
            "mean": dict(prediction.mean),
            "std": dict(prediction.std),
            "surrogate_error": prediction.surrogate_error,
        },
    }


def source_of(candidate: RankedCandidate) -> str | None:
    """Who vouches for a label: ``oracle``, ``surrogate``, ``imported:NAME``; None without one."""
    if candidate.origin is not None or candidate.source is None:
        return candidate.origin
    return str(candidate.source)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _exact(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(float(value))


def _rounded(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
