"""Candidates of a campaign as files that other programs read."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from defects.configuration import Configuration
from defects.errors import DesignLoopError
from defects.hosts import Host, get_host
from design_loop.summary import CampaignSummary, RankedCandidate

#: Formats of `export_candidates`: one file per candidate, or one file of all.
STRUCTURE_FORMATS = ("cif", "poscar", "extxyz")
TABLE_FORMATS = ("json", "csv")
INDEX = "candidates.csv"


class ExportError(DesignLoopError):
    """Files of candidates cannot be written."""


def export_candidates(
    summary: CampaignSummary,
    fmt: str,
    out: str | Path,
    *,
    top: int | None = None,
    only_hits: bool = False,
) -> list[Path]:
    """Write a campaign's labelled candidates, the best first.

    Structure formats give a file per candidate (``001-Se_S+V_S-<key>.cif``) and ``candidates.csv``,
    which says what each file is; ``csv`` gives that table alone, ``json`` one file with the
    structures (as pymatgen writes them), labels and predictions.

    Parameters
    ----------
    summary
    fmt
        One of `STRUCTURE_FORMATS` or `TABLE_FORMATS`.
    out
        Folder; made if missing. Files of the same names are replaced, others stay.
    top
        At most so many.
    only_hits
        Only those that meet every target.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ExportError
        When there is nothing to export, or the folder cannot be written.
    """
    chosen = [c for c in summary.candidates if c.meets or not only_hits][:top]
    if not chosen:
        what = "that meets all targets" if only_hits and summary.candidates else "with a label yet"
        raise ExportError(f"{summary.campaign.id}: there is no candidate {what}, nothing exported")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if fmt == "json":
            return [_write(folder / "candidates.json", _as_json(summary, chosen))]
        if fmt == "csv":
            return [_write(folder / INDEX, _as_csv(chosen, None))]
        host = campaign_host(summary)
        files = [_structure_file(c, host, fmt, folder) for c in chosen]
        return [*files, _write(folder / INDEX, _as_csv(chosen, [f.name for f in files]))]
    except OSError as error:
        raise ExportError(
            f"cannot write to {folder}: {error.strerror or error}; the campaign itself is unchanged"
        ) from error


def campaign_host(summary: CampaignSummary) -> Host:
    """The host of a campaign, from its recorded configuration."""
    host = summary.campaign.config["host"]
    return get_host(host["name"], host["supercell"])


def file_stem(candidate: RankedCandidate) -> str:
    """``001-Se_S+V_S-0123456789abcdef``: sorts by rank, says what it is, is unique."""
    return f"{candidate.rank:03d}-{candidate.description[:60]}-{candidate.key}"


def _structure_file(candidate: RankedCandidate, host: Host, fmt: str, folder: Path) -> Path:
    from defects.structures import FORMATS, write_structure

    path = folder / f"{file_stem(candidate)}{FORMATS[fmt]}"
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write_structure(Configuration.from_dict(candidate.configuration, host), part, fmt)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _as_csv(candidates: Sequence[RankedCandidate], files: Sequence[str] | None) -> str:
    properties = list(dict.fromkeys(p for c in candidates for p in c.properties))
    predicted = list(
        dict.fromkeys(p for c in candidates if c.prediction for p in c.prediction.mean)
    )
    header = ["_id", "rank", "defects", "meets_targets", "error", "round", "adapter", "source"]
    header += [*properties, *(n for p in predicted for n in (f"{p}_predicted", f"{p}_std"))]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header + (["file"] if files else []))
    for i, c in enumerate(candidates):
        row: list[Any] = [c.key, c.rank, c.description, str(c.meets).lower(), _number(c.error)]
        row += [c.round, c.adapter or "", str(c.source)]
        row += [_number(c.properties.get(p)) for p in properties]
        for p in predicted:
            row.append(_number(c.prediction.mean.get(p) if c.prediction else None))
            row.append(_number(c.prediction.std.get(p) if c.prediction else None))
        writer.writerow(row + ([files[i]] if files else []))
    return stream.getvalue()


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
        "source": str(candidate.source),
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


def _as_json(summary: CampaignSummary, candidates: Sequence[RankedCandidate]) -> str:
    from defects.structures import to_structure

    host = campaign_host(summary)
    found = [
        candidate_dict(c)
        | {"structure": to_structure(Configuration.from_dict(c.configuration, host)).as_dict()}
        for c in candidates
    ]
    content = {
        "campaign": summary.campaign.id,
        "targets": [t.text() for t in summary.targets],
        "candidates": found,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
