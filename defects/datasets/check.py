"""Checks of a dataset beyond what reading it needs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from defects.configuration import Configuration
from defects.datasets.bundled import dataset_path
from defects.datasets.dataset import Dataset
from defects.datasets.files import Problem
from defects.datasets.reader import load
from defects.datasets.tables import Descriptor, Row, read_descriptors
from defects.energetics import formation_energy
from defects.errors import DatasetError
from defects.properties import VACANCY
from defects.rules import parse_defect

#: eV by which a formation energy may differ from the one recomputed from the energies. Published
#: tables are rounded to 1e-4 eV per chemical potential and per energy.
ENERGY_TOLERANCE = 5e-3


def check_dataset(path: str | Path, host: str | None = None) -> list[Problem]:
    """Everything that is wrong with a dataset; an empty list for a sound one.

    Looked for: missing, truncated or damaged files; rows without structure and structures without
    row; ids given twice; labels that are no finite numbers or contradict each other; structures
    that are not the host with point defects, or not those of their descriptor; structures that are
    equivalent under the host's symmetry; energies that contradict gaps and formation energies.

    Parameters
    ----------
    path : str or Path
        Folder, or name of a shipped dataset.
    host : str, optional
        As in `read_dataset`.
    """
    problems: list[Problem] = []
    try:
        folder = dataset_path(path)
        dataset, rows = load(folder, problems.append, host)
        descriptors = read_descriptors(folder, lambda _: None)
    except DatasetError as error:
        # Without tables or host there is nothing more to look at.
        return [*problems, Problem("error", str(path), None, str(error))]
    for record, row in zip(dataset, rows, strict=True):
        problems += _energy_problems(dataset, record.configuration, row)
    problems += _descriptor_problems(dataset, rows, descriptors)
    problems += _equivalents(dataset, rows)
    return problems


def _descriptor_problems(
    dataset: Dataset, rows: list[Row], descriptors: dict[str, Descriptor]
) -> list[Problem]:
    """Structures against the defects that their descriptors list."""
    problems = []
    elsewhere = []
    for record, row in zip(dataset, rows, strict=True):
        configuration, stated = record.configuration, descriptors[row.descriptor].names
        found = configuration.counts()
        if not found:
            problems.append(Problem("warning", row.file, row.line, f"{row.id} has no defects"))
        elif stated and _net_change(stated) != _net_change(found):
            message = (
                f"{row.id} is {_short(found)}, but its descriptor {row.descriptor} says "
                f"{_short(stated)}"
            )
            problems.append(Problem("error", row.file, row.line, message))
        elif stated and stated != found:
            elsewhere.append(row)
    if elsewhere:
        # Descriptors by composition (the high-density sets) cannot tell C_B + V_N from C_N + V_B.
        message = (
            f"{len(elsewhere)} structures have the composition of their descriptor but other "
            f"defects, the first is {elsewhere[0].id}; the structures are used"
        )
        problems.append(Problem("warning", elsewhere[0].file, elsewhere[0].line, message))
    return problems


def _net_change(defects: Counter[str]) -> dict[str, int]:
    """Atoms gained and lost per element."""
    change: Counter[str] = Counter()
    for name, n in defects.items():
        now, was = parse_defect(name)
        change[was] -= n
        change[now] += n
    return {element: n for element, n in change.items() if n and element != VACANCY}


def _short(defects: Counter[str]) -> str:
    return " ".join(f"{n}×{name}" for name, n in sorted(defects.items()))


def _energy_problems(dataset: Dataset, configuration: Configuration, row: Row) -> list[Problem]:
    """Labels of a row against each other."""
    have = row.properties
    vacancies = sum(d.species == VACANCY for d in configuration.defects)
    n_atoms = configuration.host.n_sites - vacancies
    expected: dict[str, float] = {}
    if "energy" in have:
        expected["energy_per_atom"] = have["energy"] / n_atoms
    if "homo" in have and "lumo" in have:
        expected["homo_lumo_gap"] = have["lumo"] - have["homo"]
    if "energy" in have and "energy" in dataset.pristine and "formation_energy" in have:
        try:
            expected["formation_energy"] = formation_energy(
                have["energy"],
                configuration,
                dataset.pristine["energy"],
                dataset.chemical_potentials,
            )
        except DatasetError as error:
            return [Problem("warning", "elements.csv", None, f"{row.id}: {error}")]
    if "formation_energy" in have and configuration.n_defects:
        expected["formation_energy_per_site"] = have["formation_energy"] / configuration.n_defects
    return [
        Problem(
            "error",
            *(row.labels or (row.file, row.line)),
            f"{row.id}: {name} is {have[name]:.4f}, but {value:.4f} follows from the other labels",
        )
        for name, value in expected.items()
        if name in have and abs(have[name] - value) > ENERGY_TOLERANCE
    ]


def _equivalents(dataset: Dataset, rows: list[Row]) -> list[Problem]:
    """Structures that are the same crystal under the host's symmetry."""
    first: dict[str, Row] = {}
    problems = []
    for record, row in zip(dataset, rows, strict=True):
        other = first.setdefault(record.configuration.key, row)
        if other is row:
            continue
        common = [p for p in row.properties if p in other.properties]
        apart = max((abs(row.properties[p] - other.properties[p]) for p in common), default=0.0)
        message = (
            f"{row.id} is equivalent under symmetry to {other.id} (row {other.line}); "
            f"their labels differ by up to {apart:.4g}"
            if common
            else f"{row.id} is equivalent under symmetry to {other.id} (row {other.line})"
        )
        problems.append(Problem("warning", row.file, row.line, message))
    return problems
