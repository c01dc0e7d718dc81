"""What a dataset's tables say, without reading thousands of structures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from defects.datasets import Problem
from defects.datasets.bundled import dataset_path
from defects.datasets.files import read_table
from defects.datasets.tables import (
    find,
    merge_targets,
    read_descriptors,
    read_rows,
)
from defects.errors import DatasetError


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset in short.

    Attributes
    ----------
    hosts
        (base, supercell) of its structures.
    labels
        Property -> its known values, in the property's unit.
    """

    hosts: frozenset[tuple[str, tuple[int, int, int]]]
    labels: dict[str, list[float]]


def dataset_facts(name_or_path: str) -> DatasetFacts:
    """Read the tables of a dataset.

    Raises
    ------
    DatasetError
        It is missing, truncated, or a row of its tables is wrong.
    """
    folder = dataset_path(name_or_path)
    main = find(folder, "defects.csv")
    if main is None:
        raise DatasetError(f"{folder} has no defects.csv.gz, so it is no dataset in 2DMD's layout")

    def refuse(problem: Problem) -> None:
        if problem.severity == "error":
            raise DatasetError(f"{folder}: {problem}")

    descriptors = read_descriptors(folder, refuse)
    rows = read_rows(read_table(main), refuse)
    if (targets := find(folder, "targets.csv")) is not None:
        merge_targets(rows, read_table(targets), refuse)
    labels: dict[str, list[float]] = defaultdict(list)
    for row in rows.values():
        for name, value in row.properties.items():
            labels[name].append(value)
    used = {row.descriptor for row in rows.values()}
    hosts = {(d.base, d.supercell) for key, d in descriptors.items() if key in used}
    return DatasetFacts(frozenset(hosts), dict(labels))
