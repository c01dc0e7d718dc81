"""Readers of labels: CSV, datasets, extended XYZ, ASE databases, folders of VASP runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defects.datasets import read_dataset
from defects.datasets.files import read_table
from defects.datasets.tables import find
from defects.errors import DatasetError, StructureMismatchError
from defects.structures import read_structure
from design_loop.columns import FACT_COLUMNS, FILE_COLUMNS, KEY_COLUMNS, PREDICTED, SPREAD
from design_loop.export.items import OWN
from design_loop.imports.incoming import ImportLabelsError, Incoming, Setting
from design_loop.imports.units import factor, heading

if TYPE_CHECKING:
    from ase import Atoms


def read_labels(path: Path, setting: Setting) -> tuple[list[Incoming], list[str]]:
    """Read labels from whatever a path is.

    Returns
    -------
    list of Incoming
    list of str
        Warnings about the file as a whole.

    Raises
    ------
    ImportLabelsError
        When nothing is there, or it is none of the formats.
    """
    try:
        if path.is_dir():
            return _from_folder(path, setting)
        if not path.is_file():
            raise ImportLabelsError(f"{path}: no such file or folder")
        if path.name.endswith((".csv", ".csv.gz")):
            return _from_csv(path, setting)
        if path.suffix in (".extxyz", ".xyz"):
            return _from_xyz(path, setting), []
        if path.suffix == ".db":
            return _from_database(path, setting), []
    except (DatasetError, OSError) as error:
        raise ImportLabelsError(str(error)) from error
    raise ImportLabelsError(
        f"{path}: labels come as .csv, .extxyz, .db (ASE), a dataset in the 2DMD layout, or a "
        "folder of VASP runs"
    )


def _from_folder(path: Path, setting: Setting) -> tuple[list[Incoming], list[str]]:
    if find(path, "defects.csv") is not None:
        return _from_dataset(path, setting), []
    from defects.vasp import find_runs

    runs = find_runs(path)
    if not runs:
        raise ImportLabelsError(
            f"{path} holds no vasprun.xml and no OUTCAR (three folders deep), and no dataset "
            "(defects.csv)"
        )
    return [_from_run(run, path, setting) for run in runs], []


def _from_csv(path: Path, setting: Setting) -> tuple[list[Incoming], list[str]]:
    table = read_table(path)
    headings = [heading(column) for column in table.columns]
    names = [name for name, _ in headings]
    by_key = next((names.index(n) for n in KEY_COLUMNS if n in names), None)
    by_file = next((names.index(n) for n in FILE_COLUMNS if n in names), None)
    if by_key is None and by_file is None:
        raise ImportLabelsError(
            f"{path}: no column says whose labels these are; name one {' or '.join(KEY_COLUMNS)} "
            f"(candidate), or {' or '.join(FILE_COLUMNS)} (structure file)"
        )
    columns: dict[int, tuple[str, float]] = {}
    strange: list[str] = []
    for i, (name, unit) in enumerate(headings):
        if setting.knows(name):
            times = factor(unit, setting.unit(name))
            if times is None:
                raise ImportLabelsError(
                    f"{path}: column {table.columns[i]!r} is in {unit}, the campaign's {name} in "
                    f"{setting.unit(name) or 'no unit'}; convert it, or write eV, meV, Ha or Ry"
                )
            columns[i] = (name, times)
        elif name not in (*KEY_COLUMNS, *FILE_COLUMNS, *FACT_COLUMNS) and not name.endswith(
            (PREDICTED, SPREAD)
        ):
            strange.append(name)
    if not columns:
        raise ImportLabelsError(f"{path}: no column is a property that the campaign knows")
    told = [f"{path.name}: columns that are no properties are left out: {', '.join(strange)}"]
    rows = []
    for line, cells in table.rows:
        where = f"{path.name}, row {line}"
        values, problem = _numbers(cells, columns)
        if by_key is not None and cells[by_key].strip():
            key = cells[by_key].strip().removeprefix("key-")
            rows.append(Incoming(where, key, values, problem))
        else:
            assert by_file is not None or by_key is not None
            rows.append(_by_file(where, path, cells, by_file, values, problem, setting))
    return rows, told if strange else []


def _by_file(
    where: str,
    path: Path,
    cells: tuple[str, ...],
    column: int | None,
    values: dict[str, float],
    problem: str | None,
    setting: Setting,
) -> Incoming:
    name = cells[column].strip() if column is not None else ""
    if not name:
        return Incoming(where, None, values, "names no candidate")
    try:
        structure = read_structure(path.parent / name)
    except StructureMismatchError as error:
        return Incoming(where, None, values, str(error))
    return setting.matched(where, structure, values, problem)


def _numbers(
    cells: tuple[str, ...], columns: dict[int, tuple[str, float]]
) -> tuple[dict[str, float], str | None]:
    found: dict[str, float] = {}
    for i, (name, times) in columns.items():
        text = cells[i].strip()
        if not text:
            continue
        try:
            value = float(text) * times
        except ValueError:
            return found, f"{name} is {text!r}, no number"
        if not math.isfinite(value):
            return found, f"{name} is {text}; leave unknown cells empty"
        found[name] = value
    return found, None


def _from_dataset(path: Path, setting: Setting) -> list[Incoming]:
    dataset = read_dataset(path)
    if dataset.host.key != setting.host.key:
        raise ImportLabelsError(f"{path} holds {dataset.host.key}, not {setting.host.key}")
    return [
        Incoming(
            f"{path.name}, {record.id}",
            record.configuration.key,
            {n: v for n, v in record.properties.items() if setting.knows(n)},
            pristine=not record.configuration.n_defects,
        )
        for record in dataset
        if record.properties
    ]


def _from_xyz(path: Path, setting: Setting) -> list[Incoming]:
    from ase.io import iread

    try:
        frames = list(iread(path, index=":", format="extxyz"))
    except (ValueError, KeyError, IndexError) as error:
        raise ImportLabelsError(f"{path} is no readable extended XYZ file: {error}") from error
    return [
        _from_atoms(f"{path.name}, frame {i}", atoms, atoms.info, setting)
        for i, atoms in enumerate(frames, start=1)
    ]


def _from_database(path: Path, setting: Setting) -> list[Incoming]:
    from sqlite3 import DatabaseError

    from ase.db import connect

    try:
        rows = list(connect(path, type="db").select())
    except (DatabaseError, KeyError) as error:
        raise ImportLabelsError(f"{path} is no database of ASE: {error}") from error
    return [
        _from_atoms(f"{path.name}, row {row.id}", row.toatoms(), row.key_value_pairs, setting)
        for row in rows
    ]


def _from_atoms(where: str, atoms: Atoms, info: dict[str, Any], setting: Setting) -> Incoming:
    from pymatgen.io.ase import AseAtomsAdaptor

    told = {**getattr(atoms.calc, "results", {}), **info}
    values = {n: v for n, v in told.items() if setting.knows(n)}
    marked = {n.removeprefix(OWN): v for n, v in told.items() if n.startswith(OWN)}
    values |= {n: v for n, v in marked.items() if setting.knows(n)}
    problem, found = None, {}
    for name, value in values.items():
        if isinstance(value, (int, float)) and math.isfinite(value):
            found[name] = float(value)
        else:
            problem = f"{name} is {value!r}, no finite number"
    atoms = atoms.copy()
    atoms.info = {}
    return setting.matched(where, AseAtomsAdaptor.get_structure(atoms), found, problem)


def _from_run(path: Path, root: Path, setting: Setting) -> Incoming:
    from defects.vasp import read_run

    where = str(path.relative_to(root))
    run = read_run(path)
    if run.initial is None or run.final is None:
        return Incoming(where, None, problem=run.problem)
    details: dict[str, Any] = {}
    problem = run.problem
    if run.moved:
        details["relaxed"] = {
            "cell": run.final.lattice.matrix.round(6).tolist(),
            "symbols": [str(site.specie.symbol) for site in run.final],
            "positions": run.final.cart_coords.round(6).tolist(),
            "changed": None,
        }
        problem = problem or _moved_away(run, setting)
    return setting.matched(where, run.initial, dict(run.properties), problem, details)


def _moved_away(run: Any, setting: Setting) -> str | None:
    """Whether a relaxation ended as another configuration."""
    try:
        before, after = (setting.configuration(s) for s in (run.initial, run.final))
    except StructureMismatchError as error:
        return f"the relaxed structure is no configuration any more: {error}"
    if before.key != after.key:
        return f"relaxed into another configuration: {before.description} to {after.description}"
    return None
