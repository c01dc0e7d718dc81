"""The dataset that ships with the package, and datasets by name or path."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from defects.datasets.dataset import Dataset
from defects.datasets.reader import read_dataset
from defects.errors import DatasetError

_FOLDERS = {"xtb-mos2-4x4": "data/xtb_mos2_4x4"}


def bundled_datasets() -> tuple[str, ...]:
    """Names of the datasets that ship with the package."""
    return tuple(_FOLDERS)


def bundled_path(name: str) -> Path:
    """Folder of a shipped dataset.

    Raises
    ------
    DatasetError
        When there is none of that name.
    """
    if name not in _FOLDERS:
        raise DatasetError(
            f"no dataset ships under the name {name!r} (there is {', '.join(_FOLDERS)})"
        )
    return Path(str(resources.files("defects").joinpath(_FOLDERS[name])))


def bundled_dataset(name: str) -> Dataset:
    """A dataset that ships with the package, ``"xtb-mos2-4x4"``.

    Raises
    ------
    DatasetError
        When there is none of that name.
    """
    return read_dataset(bundled_path(name))


def dataset_path(name_or_path: str | Path) -> Path:
    """Folder of a dataset: of a shipped one by name, or the path itself.

    Raises
    ------
    DatasetError
        When it is neither.
    """
    if str(name_or_path) in _FOLDERS:
        return bundled_path(str(name_or_path))
    path = Path(name_or_path).expanduser()
    if not path.exists():
        raise DatasetError(
            f"no dataset {name_or_path}: give a folder in the 2DMD layout, "
            f"or the name of a shipped dataset ({', '.join(_FOLDERS)})"
        )
    return path


def resolve_dataset(name_or_path: str | Path, host: str | None = None) -> Dataset:
    """A shipped dataset by name or any other by its folder; `host` as in `read_dataset`.

    Raises
    ------
    DatasetError
        When it is neither, or the dataset is damaged.
    """
    return read_dataset(dataset_path(name_or_path), host)
