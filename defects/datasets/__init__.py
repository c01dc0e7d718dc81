"""Datasets in the 2DMD layout: read, check, describe, write."""

from __future__ import annotations

from defects.datasets.bundled import bundled_dataset, bundled_datasets, resolve_dataset
from defects.datasets.check import check_dataset
from defects.datasets.dataset import Dataset, Record
from defects.datasets.describe import describe
from defects.datasets.files import Problem
from defects.datasets.reader import read_dataset
from defects.datasets.writer import write_dataset, write_labels

__all__ = [
    "Dataset",
    "Problem",
    "Record",
    "bundled_dataset",
    "bundled_datasets",
    "check_dataset",
    "describe",
    "read_dataset",
    "resolve_dataset",
    "write_dataset",
    "write_labels",
]
