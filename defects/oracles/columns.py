"""A user's own properties of a dataset: its columns under other names, functions of its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from defects.datasets import Dataset, Record
from defects.oracles.functions import evaluate
from defects.structures import to_atoms


def with_columns(
    dataset: Dataset, columns: Mapping[str, str], functions: Mapping[str, str]
) -> Dataset:
    """A dataset whose records have a user's own properties, too.

    Parameters
    ----------
    dataset : Dataset
    columns : mapping
        Own property -> column that holds it; the column stays under its own name as well.
    functions : mapping
        Own property -> import path of ``function(atoms, results)``; the results are the record's
        labels, the atoms those of the ideal sites. Records that have the property keep it, records
        without any label are left alone.

    Raises
    ------
    PropertyFunctionError
        When a function fails on a record.
    """
    if not columns and not functions:
        return dataset
    return replace(dataset, records=tuple(_extended(r, columns, functions) for r in dataset))


def _extended(record: Record, columns: Mapping[str, str], functions: Mapping[str, str]) -> Record:
    found = dict(record.properties)
    found |= {name: found[column] for name, column in columns.items() if column in found}
    missing = {name: path for name, path in functions.items() if name not in found}
    if missing and found:
        found |= evaluate(missing, to_atoms(record.configuration), found)
    return replace(record, properties=found)
