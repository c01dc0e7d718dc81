"""Writing candidates: a file each, a folder each, or one file of all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from defects.configuration import Configuration
from defects.errors import DesignLoopError
from design_loop.export.items import Item, campaign_host
from design_loop.export.tables import as_csv, as_json
from design_loop.summary import CampaignSummary

#: Formats of `export_candidates`: a file per candidate, a file of all, a folder per candidate.
STRUCTURE_FORMATS = ("cif", "poscar", "extxyz")
TABLE_FORMATS = ("json", "csv", "ase-db")
FOLDER_FORMATS = ("vasp",)
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
    relaxed: Mapping[str, Mapping[str, Any]] | None = None,
    vasp: Any = None,
) -> list[Path]:
    """Write a campaign's labelled candidates, the best first.

    Structure formats give a file per candidate (``001-Se_S+V_S-<key>.cif``), ``vasp`` a folder of
    input files, and both ``candidates.csv``, which says what each is; ``csv`` gives that table
    alone, ``json`` one file with the structures (as pymatgen writes them), labels and predictions,
    ``ase-db`` a database of ASE.

    Parameters
    ----------
    summary
    fmt
        One of `STRUCTURE_FORMATS`, `TABLE_FORMATS` or `FOLDER_FORMATS`.
    out
        Folder; made if missing. Files of the same names are replaced, others stay.
    top
        At most so many.
    only_hits
        Only those that meet every target.
    relaxed
        Candidate's key -> relaxed structure (`design_loop.export.items.relaxed_structures`); the
        ideal sites are written of the others.
    vasp : defects.vasp.VaspInputs, optional
        How ``vasp`` inputs are made; by default as `VaspInputs()` says.

    Returns
    -------
    list of Path
        The files written; of folders, the folders.

    Raises
    ------
    ExportError
        When there is nothing to export, or the folder cannot be written.
    """
    chosen = [c for c in summary.candidates if c.meets or not only_hits][:top]
    if not chosen:
        what = "that meets all targets" if only_hits and summary.candidates else "with a label yet"
        raise ExportError(f"{summary.campaign.id}: there is no candidate {what}, nothing exported")
    folder, host = Path(out), campaign_host(summary)
    moved = relaxed or {}
    items = [
        Item(c, Configuration.from_dict(c.configuration, host), moved.get(c.key)) for c in chosen
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if fmt == "json":
            return [_write(folder / "candidates.json", as_json(summary, items))]
        if fmt == "csv":
            return [_write(folder / INDEX, as_csv(items, None))]
        if fmt == "ase-db":
            return [_database(folder / "candidates.db", summary, items)]
        if fmt == "vasp":
            files = _vasp(summary, items, folder, vasp)
        else:
            files = [_structure_file(item, fmt, folder) for item in items]
        index = as_csv(items, [f.name for f in files[: len(items)]])
        return [*files, _write(folder / INDEX, index)]
    except OSError as error:
        raise ExportError(
            f"cannot write to {folder}: {error.strerror or error}; the campaign itself is unchanged"
        ) from error


def _structure_file(item: Item, fmt: str, folder: Path) -> Path:
    from defects.structures import FORMATS

    path = folder / f"{item.stem}{FORMATS[fmt]}"
    if fmt == "extxyz":
        from ase.io import write

        return _whole(path, lambda part: write(part, item.labelled_atoms(), format="extxyz"))
    return _whole(path, lambda part: item.structure().to(filename=str(part), fmt=fmt))


def _database(path: Path, summary: CampaignSummary, items: list[Item]) -> Path:
    """An SQLite database of ASE: labels as key-value pairs, the rest as data."""
    from ase.db import connect

    from design_loop.export.tables import candidate_dict

    def fill(part: Path) -> None:
        with connect(part, type="db", append=False) as database:
            for item in items:
                atoms = item.labelled_atoms()
                pairs = {name: _pair(value) for name, value in atoms.info.items()}
                database.write(
                    atoms,
                    key_value_pairs=pairs,
                    data={"campaign": summary.campaign.id, **candidate_dict(item.candidate)},
                )

    return _whole(path, fill)


def _pair(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _vasp(summary: CampaignSummary, items: list[Item], folder: Path, inputs: Any) -> list[Path]:
    """A folder of VASP's inputs per candidate, and one of the pristine supercell."""
    from defects.vasp import VaspInputs, write_inputs

    settings = inputs or VaspInputs()
    folders = []
    for item in items:
        folders.append(
            _folder(
                folder / item.stem,
                lambda part, item=item: write_inputs(
                    part, item.structure(), item.placed(), settings
                ),
            )
        )
    pristine = Configuration(campaign_host(summary), ())
    ideal = Item(items[0].candidate, pristine)
    folders.append(
        _folder(
            folder / "pristine",
            lambda part: write_inputs(part, ideal.structure(), pristine, settings),
        )
    )
    return folders


def _folder(path: Path, fill: Callable[[Path], object]) -> Path:
    """Write the files of a folder whole; others in it (results of earlier runs) stay."""
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        part.mkdir()
        fill(part)
        path.mkdir(exist_ok=True)
        for file in part.iterdir():
            file.replace(path / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path


def _whole(path: Path, fill: Callable[[Path], object]) -> Path:
    """Write a file whole or not at all."""
    # The ending stays: writers go by it.
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        fill(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _write(path: Path, text: str) -> Path:
    return _whole(path, lambda part: part.write_text(text, encoding="utf-8"))
