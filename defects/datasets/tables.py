"""The CSV files of the 2DMD layout."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from defects.datasets.cif import float_or_nan
from defects.datasets.files import Problem, Table, read_table
from defects.errors import DatasetError, HostError
from defects.hosts import parse_supercell
from defects.properties import PROPERTIES

Report = Callable[[Problem], None]

#: Columns that are no properties.
_NAMES = ("_id", "descriptor_id")


@dataclass(frozen=True)
class Row:
    """One structure as the tables have it, before its CIF is read."""

    id: str
    descriptor: str
    file: str
    line: int
    properties: dict[str, float]
    labels: tuple[str, int] | None = None  # file and row of its labels, where not its own


def find(path: Path, name: str) -> Path | None:
    """``name.gz`` or ``name`` in a folder, or None."""
    return next((p for p in (path / f"{name}.gz", path / name) if p.is_file()), None)


def read_rows(table: Table, report: Report) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    missing = [name for name in _NAMES if name not in table.columns]
    if missing:
        raise DatasetError(f"{table.file} lacks the column {', '.join(missing)}")
    for line, cells in table.rows:
        values = dict(zip(table.columns, cells, strict=True))
        name = values["_id"]
        if not name:
            report(Problem("error", table.file, line, "empty _id"))
        elif name in rows:
            first = rows[name].line
            report(Problem("error", table.file, line, f"id {name} is already in row {first}"))
        else:
            properties = _properties(values, table.file, line, report)
            rows[name] = Row(name, values["descriptor_id"], table.file, line, properties)
    return rows


def _properties(values: dict[str, str], file: str, line: int, report: Report) -> dict[str, float]:
    """Known values of a row. Columns beyond the standard ones are taken where they are numbers."""
    found: dict[str, float] = {}
    for name, text in values.items():
        if name in _NAMES or not text.strip():
            continue
        value = float_or_nan(text)
        if math.isfinite(value):
            found[name] = value
        elif name in PROPERTIES:
            report(Problem("error", file, line, f"{name} is {text!r}; leave unknown cells empty"))
        elif math.isinf(value):
            report(Problem("warning", file, line, f"{name} is {text!r} and was left out"))
    return found


def merge_targets(rows: dict[str, Row], table: Table, report: Report) -> None:
    """Add the labels of ``targets.csv`` to the rows of ``defects.csv``."""
    if "_id" not in table.columns:
        raise DatasetError(f"{table.file} lacks the column _id")
    seen: dict[str, int] = {}
    for line, cells in table.rows:
        values = dict(zip(table.columns, cells, strict=True))
        name = values["_id"]
        if name in seen:
            message = f"id {name} is already in row {seen[name]}"
            report(Problem("error", table.file, line, message))
            continue
        seen[name] = line
        if name not in rows:
            message = f"id {name} is not in {next(iter(rows.values())).file if rows else 'defects'}"
            report(Problem("error", table.file, line, message))
            continue
        row = rows[name] = replace(rows[name], labels=(table.file, line))
        for prop, value in _properties(values, table.file, line, report).items():
            known = row.properties.setdefault(prop, value)
            if abs(known - value) > 1e-6 * max(1.0, abs(known)):
                message = f"{prop} is {value:g}, but {known:g} in {row.file}, row {row.line}"
                report(Problem("error", table.file, line, message))


@dataclass(frozen=True)
class Descriptor:
    """Host and defect types of a group of structures."""

    line: int
    base: str
    supercell: tuple[int, int, int]
    defects: tuple[dict[str, str], ...]

    @property
    def names(self) -> Counter[str]:
        """The defects by name: ``{"V_S": 2}``; empty when the column is."""
        return Counter(
            f"V_{d.get('element')}"
            if d.get("type") == "vacancy"
            else f"{d.get('to')}_{d.get('from')}"
            for d in self.defects
        )

    @property
    def host(self) -> str:
        return f"{self.base}-{'x'.join(map(str, self.supercell))}"


def read_descriptors(path: Path, report: Report) -> dict[str, Descriptor]:
    file = find(path, "descriptors.csv")
    if file is None:
        raise DatasetError(f"{path} has no descriptors.csv, which names the host; fetch it again")
    table = read_table(file)
    lacking = [c for c in ("_id", "base", "cell") if c not in table.columns]
    if lacking:
        raise DatasetError(f"{file} lacks the column {', '.join(lacking)}")
    found: dict[str, Descriptor] = {}
    for line, cells in table.rows:
        values = dict(zip(table.columns, cells, strict=True))
        try:
            supercell = parse_supercell(ast.literal_eval(values["cell"]))
            defects = tuple(ast.literal_eval(values.get("defects") or "[]"))
        except (ValueError, SyntaxError, TypeError, HostError) as error:
            report(Problem("error", table.file, line, f"cell or defects are not readable: {error}"))
            continue
        if values["_id"] in found:
            message = f"descriptor {values['_id']} is already in row {found[values['_id']].line}"
            report(Problem("error", table.file, line, message))
        found[values["_id"]] = Descriptor(line, values["base"], supercell, defects)
    return found


def chemical_potentials(path: Path, report: Report) -> dict[str, float]:
    file = find(path, "elements.csv")
    if file is None:
        message = "missing; formation energies of new labels cannot be computed"
        report(Problem("warning", "elements.csv", None, message))
        return {}
    found: dict[str, float] = {}
    table = read_table(file)
    for line, cells in table.rows:
        values = dict(zip(table.columns, cells, strict=True))
        value = float_or_nan(values.get("chemical_potential", ""))
        if math.isfinite(value):
            found[values.get("element", "")] = value
        else:
            report(Problem("error", table.file, line, "chemical_potential is no number"))
    return found


def pristine_facts(
    path: Path, base: str, supercell: tuple[int, int, int], report: Report
) -> dict[str, Any]:
    """Facts of the pristine supercell; empty when unknown."""
    file = find(path, "initial_structures.csv")
    table = read_table(file) if file is not None else Table("initial_structures.csv", (), ())
    for line, cells in table.rows:
        values = dict(zip(table.columns, cells, strict=True))
        if values.get("base") != base:
            continue
        try:
            size = parse_supercell(ast.literal_eval(values.get("cell_size", "")))
        except (ValueError, SyntaxError, TypeError, HostError) as error:
            report(Problem("error", table.file, line, f"cell_size is not readable: {error}"))
            continue
        if size != supercell:
            continue
        numbers = {n: float_or_nan(t) for n, t in values.items() if n not in ("base", "cell_size")}
        known = {name: value for name, value in numbers.items() if math.isfinite(value)}
        return {"supercell": list(supercell), **known}
    report(Problem("warning", table.file, None, f"no pristine energy of {base} {supercell}"))
    return {}
