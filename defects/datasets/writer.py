"""Writer of the 2DMD layout: what `read_dataset` reads, and what 2DMD's own tools read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np

from defects.configuration import Configuration
from defects.datasets.archive import pack_structures
from defects.datasets.dataset import Dataset
from defects.datasets.files import atomic_write, gzipped
from defects.errors import DatasetError
from defects.hosts import Host, builtin_hosts
from defects.properties import PROPERTIES, VACANCY

#: As in 2DMD, formation energies stand in ``targets.csv.gz`` only.
_TARGETS_ONLY = ("formation_energy", "formation_energy_per_site")

_CIF = """data_{name}
_symmetry_space_group_name_H-M   'P 1'
_cell_length_a   {a:.8f}
_cell_length_b   {b:.8f}
_cell_length_c   {c:.8f}
_cell_angle_alpha   {alpha:.8f}
_cell_angle_beta   {beta:.8f}
_cell_angle_gamma   {gamma:.8f}
_symmetry_Int_Tables_number   1
loop_
 _symmetry_equiv_pos_site_id
 _symmetry_equiv_pos_as_xyz
  1  'x, y, z'
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_symmetry_multiplicity
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
{atoms}
"""


def write_dataset(dataset: Dataset, path: str | Path) -> Path:
    """Write a dataset in the 2DMD layout.

    Every file is replaced whole; the table of structures comes last, so that a reader never meets
    a row without its structure. The same dataset gives the same bytes.

    Raises
    ------
    DatasetError
        When the disk is full or the folder not writable, or two records have one id.
    """
    path = Path(path)
    ids = [r.id for r in dataset]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise DatasetError(f"two records have the id {twice}; every structure needs its own")
    try:
        (path / "unit_cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot make the folder {path}: {error.strerror or error}") from error
    host = dataset.host
    base = base_name(host)
    unit = Configuration(host.with_supercell((1, 1, 1)), ())
    atomic_write(
        path / "unit_cells" / f"{base}.cif", CifWriter(unit.host).text(base, unit).encode()
    )
    writer = CifWriter(host)
    structures = {r.id: writer.text(r.id, r.configuration) for r in dataset}
    atomic_write(path / "initial.tar.gz", pack_structures(structures))
    atomic_write(path / "descriptors.csv", _descriptors(dataset, base))
    if dataset.chemical_potentials:
        rows = [[e, repr(v)] for e, v in sorted(dataset.chemical_potentials.items())]
        atomic_write(path / "elements.csv", _csv(["element", "chemical_potential"], rows))
    if dataset.pristine:
        facts = {n: v for n, v in dataset.pristine.items() if n != "supercell"}
        row = [base, str(list(host.supercell)), *(repr(float(v)) for v in facts.values())]
        atomic_write(path / "initial_structures.csv", _csv(["base", "cell_size", *facts], [row]))
    columns = list(dataset.properties)
    plain = [c for c in columns if c not in _TARGETS_ONLY]
    atomic_write(path / "targets.csv.gz", gzipped(_labels(dataset, columns, labelled_only=True)))
    atomic_write(path / "defects.csv.gz", gzipped(_labels(dataset, plain, labelled_only=False)))
    return path


def base_name(host: Host) -> str:
    """Name of a host's unit cell in a dataset: 2DMD's for the built-in ones (``BN``, ``P``)."""
    if host.name not in builtin_hosts():
        return host.name
    counts = {s: host.unit_species.count(s) for s in host.unit_species}
    divisor = np.gcd.reduce(list(counts.values()))
    return "".join(f"{s}{n // divisor if n > divisor else ''}" for s, n in counts.items())


def descriptor_id(configuration: Configuration) -> str:
    """Identifier of the group of structures with the same defects in the same host."""
    content = f"{configuration.host.key}|{configuration.description}"
    return f"d{hashlib.sha256(content.encode()).hexdigest()[:10]}"


class CifWriter:
    """Writes CIF files of many configurations of one host."""

    def __init__(self, host: Host) -> None:
        a, b, c = (float(x) for x in np.linalg.norm(host.lattice, axis=1))
        x, y, z = host.lattice
        alpha, beta, gamma = (
            float(np.degrees(np.arccos(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))))
            for u, v in ((y, z), (x, z), (x, y))
        )
        self._cell = {"a": a, "b": b, "c": c, "alpha": alpha, "beta": beta, "gamma": gamma}
        self._coords = ["  ".join(f"{value:.8f}" for value in site) for site in host.frac_coords]

    def text(self, name: str, configuration: Configuration) -> str:
        """The ideal structure as CIF, sites in the host's order, vacancies left out."""
        symbols = list(configuration.host.species)
        for defect in configuration.defects:
            symbols[defect.site] = defect.species
        present = [i for i, s in enumerate(symbols) if s != VACANCY]
        atoms = "\n".join(
            f"  {symbols[i]}  {symbols[i]}{n}  1  {self._coords[i]}  1"
            for n, i in enumerate(present)
        )
        return _CIF.format(name=name, atoms=atoms, **self._cell)


def _csv(columns: list[str], rows: list[list[str]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _labels(dataset: Dataset, columns: list[str], labelled_only: bool) -> bytes:
    rows = [
        [
            record.id,
            descriptor_id(record.configuration),
            *(repr(record.properties[c]) if c in record.properties else "" for c in columns),
        ]
        for record in (dataset.labelled() if labelled_only else dataset.records)
    ]
    return _csv(["_id", "descriptor_id", *columns], rows)


def _descriptors(dataset: Dataset, base: str) -> bytes:
    groups = {r.configuration.description: r.configuration for r in dataset}
    cell = str(list(dataset.host.supercell))
    rows = [
        [
            descriptor_id(configuration),
            description,
            base,
            cell,
            "[True, True, False]",
            str(_defect_types(configuration)),
        ]
        for description, configuration in sorted(groups.items())
    ]
    return _csv(["_id", "description", "base", "cell", "pbc", "defects"], rows)


def _defect_types(configuration: Configuration) -> list[dict[str, str]]:
    """Defects as 2DMD's descriptors list them."""
    types = []
    for defect in configuration.defects:
        was = configuration.host.species[defect.site]
        if defect.species == VACANCY:
            types.append({"type": "vacancy", "element": was})
        else:
            types.append({"type": "substitution", "from": was, "to": defect.species})
    return sorted(types, key=str)


def write_labels(dataset: Dataset, path: str | Path) -> Path:
    """Write the labels alone, one line or object per structure, as ``.csv`` or ``.json``.

    Columns: ``_id``, ``host``, ``defects`` (``V_S:Mo0 1 2``-like names joined by ``;``) and the
    properties.

    Raises
    ------
    DatasetError
        When the ending is another one or the file cannot be written.
    """
    path = Path(path)
    columns = [p for p in dataset.properties if p in PROPERTIES]
    if path.suffix == ".json":
        rows = [
            {"_id": r.id, **r.configuration.to_dict(), "properties": r.properties} for r in dataset
        ]
        atomic_write(path, (json.dumps(rows, indent=1) + "\n").encode())
    elif path.suffix == ".csv":
        host = dataset.host
        table = [
            [
                r.id,
                host.key,
                ";".join(
                    f"{d.name(host)}:{host.site_label(d.site)}" for d in r.configuration.defects
                ),
                *(repr(r.properties[c]) if c in r.properties else "" for c in columns),
            ]
            for r in dataset
        ]
        atomic_write(path, _csv(["_id", "host", "defects", *columns], table))
    else:
        raise DatasetError(f"{path}: labels are written as .csv or .json")
    return path
