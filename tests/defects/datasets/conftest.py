from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from defects.datasets import Dataset, bundled_dataset, write_dataset


@pytest.fixture(scope="session")
def shipped() -> Dataset:
    return bundled_dataset("xtb-mos2-4x4")


@pytest.fixture(scope="session")
def few(shipped: Dataset) -> Dataset:
    return replace(shipped, records=shipped.records[:12])


@pytest.fixture
def folder(few: Dataset, tmp_path: Path) -> Path:
    """A small sound dataset on disk, to be damaged."""
    return write_dataset(few, tmp_path / "data")
