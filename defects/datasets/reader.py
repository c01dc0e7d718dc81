"""Reader of the 2DMD layout.

A folder holds ``defects.csv.gz`` (every structure), ``targets.csv.gz`` (labels, optional),
``descriptors.csv`` (host and defect types), ``initial.tar.gz`` (a CIF per structure, named by
``_id``), ``unit_cells/``, and optionally ``initial_structures.csv`` (pristine energies) and
``elements.csv`` (chemical potentials). Source: Huang et al., npj 2D Mater. Appl. 7, 6 (2023).
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from defects.configuration import Configuration
from defects.datasets.archive import read_structures
from defects.datasets.cif import SiteMatcher, parse_cif
from defects.datasets.dataset import Dataset, Record
from defects.datasets.files import Problem, read_table
from defects.datasets.tables import (
    Descriptor,
    Report,
    Row,
    chemical_potentials,
    find,
    merge_targets,
    pristine_facts,
    read_descriptors,
    read_rows,
)
from defects.errors import DatasetError, HostError, StructureMismatchError
from defects.hosts import Host, builtin_hosts, get_host, host_from_cif


def read_dataset(path: str | Path, host: str | None = None) -> Dataset:
    """Read a dataset in the 2DMD layout.

    Parameters
    ----------
    path : str or Path
        The folder with ``defects.csv.gz``.
    host : str, optional
        ``MoS2-8x8x1`` (unit cell and supercell as the files name them): which host to read from a
        folder that holds several.

    Raises
    ------
    DatasetError
        At the first thing that is missing, truncated or wrong, with its file and row;
        `check_dataset` lists them all.
    """

    def fail(problem: Problem) -> None:
        if problem.severity == "error":
            raise DatasetError(
                f"{Path(path) / problem.file}"
                f"{'' if problem.row is None else f', row {problem.row}'}: {problem.message}"
            )

    return load(Path(path), fail, host)[0]


def load(path: Path, report: Report, select: str | None = None) -> tuple[Dataset, list[Row]]:
    """Read what can be read and report what is wrong; rows are those of the dataset's records."""
    table = read_table(_main_table(path))
    descriptors = read_descriptors(path, report)
    rows = read_rows(table, report)
    if (targets := find(path, "targets.csv")) is not None:
        merge_targets(rows, read_table(targets), report)
    chosen, base, supercell = _choose_host(path, list(rows.values()), descriptors, select, report)
    crystal = _host(path, base, supercell, report)
    potentials = chemical_potentials(path, report)
    pristine = pristine_facts(path, base, supercell, report)
    crystal = replace(crystal, chemical_potentials=potentials, pristine=pristine)
    found = _configurations(path, crystal, chosen, {*rows} - {r.id for r in chosen}, report)
    rows_read = [r for r in chosen if r.id in found]
    records = tuple(Record(r.id, found[r.id], r.properties) for r in rows_read)
    return Dataset(crystal, records, potentials, pristine, str(path)), rows_read


def _main_table(path: Path) -> Path:
    if path.is_file():
        raise DatasetError(f"{path} is a file; give the folder with defects.csv.gz (unpack a zip)")
    if not path.is_dir():
        raise DatasetError(f"no such dataset folder: {path}")
    found = find(path, "defects.csv")
    if found is not None:
        return found
    inside = sorted({p.parent for p in path.glob("*/**/defects.csv*")})
    if inside:
        raise DatasetError(
            f"{path} holds several datasets; give one: {', '.join(map(str, inside))}"
        )
    raise DatasetError(
        f"{path} has no defects.csv.gz, so it is no dataset in the 2DMD layout "
        "(docs: defects.csv.gz, descriptors.csv, initial.tar.gz, unit_cells/)"
    )


def _choose_host(
    path: Path,
    rows: list[Row],
    descriptors: dict[str, Descriptor],
    select: str | None,
    report: Report,
) -> tuple[list[Row], str, tuple[int, int, int]]:
    """Rows of the one host in a folder, or of the selected one, with unit cell and supercell."""
    by_host: dict[str, list[Row]] = {}
    for row in rows:
        if row.descriptor in descriptors:
            by_host.setdefault(descriptors[row.descriptor].host, []).append(row)
        else:
            message = f"descriptor {row.descriptor!r} is not in descriptors.csv"
            report(Problem("error", row.file, row.line, message))
    if not by_host:
        raise DatasetError(f"{path} holds no structures with a known descriptor")
    names = ", ".join(f"{host} ({len(found)} rows)" for host, found in by_host.items())
    if select is None and len(by_host) > 1:
        raise DatasetError(f"{path} holds several hosts, choose one: {names}")
    chosen = by_host.get(select or next(iter(by_host)))
    if chosen is None:
        raise DatasetError(f"{path} holds no host {select}; it holds {names}")
    descriptor = descriptors[chosen[0].descriptor]
    return chosen, descriptor.base, descriptor.supercell


def _host(path: Path, base: str, supercell: tuple[int, int, int], report: Report) -> Host:
    cell = path / "unit_cells" / f"{base}.cif"
    try:
        if cell.is_file():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pymatgen on coordinates rounded to 8 digits
                return host_from_cif(cell, supercell, name=base)
        host = get_host(base, supercell)
    except HostError as error:
        known = ", ".join(builtin_hosts())
        raise DatasetError(
            f"no usable unit cell {cell} for host {base} ({error}); "
            f"add the file (built in: {known})"
        ) from error
    report(Problem("warning", f"unit_cells/{base}.cif", None, "missing; the built-in host is used"))
    return host


def _configurations(
    path: Path, host: Host, rows: list[Row], others: set[str], report: Report
) -> dict[str, Configuration]:
    """Configuration of every row whose structure can be read."""
    matcher = SiteMatcher(host)
    by_id = {row.id: row for row in rows}
    found: dict[str, Configuration] = {}
    damage: Problem | None = None
    for item in read_structures(path):
        if isinstance(item, Problem):
            damage = item
            continue
        name, text = item
        row = by_id.get(name)
        if row is None:
            if name not in others:
                message = f"{name}.cif belongs to no row"
                report(Problem("warning", "initial.tar.gz", None, message))
            continue
        try:
            found[name] = matcher.match(parse_cif(text))
        except StructureMismatchError as error:
            report(Problem("error", row.file, row.line, f"structure {name}.cif: {error}"))
            by_id.pop(name)
    lacking = [row for row in by_id.values() if row.id not in found]
    if damage is not None:
        # One error for all the rows that it took.
        message = f"{damage.message} ({len(lacking)} rows lack their structure)"
        report(replace(damage, message=message))
        return found
    for row in lacking:
        message = f"structure {row.id}.cif is missing from initial.tar.gz"
        report(Problem("error", row.file, row.line, message))
    return found
