"""Predictions for structure files: what ``surrogate predict`` does."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from defects.configuration import Configuration
from defects.datasets.archive import archive_texts, read_structures
from defects.datasets.cif import SiteMatcher, parse_cif
from defects.datasets.files import Problem
from defects.errors import DatasetError, ModelError, StructureMismatchError
from defects.surrogates.base import Predictions
from defects.surrogates.fitted import FittedSurrogate, load_surrogate

logger = logging.getLogger(__name__)

_ARCHIVES = (".tar.gz", ".tgz", ".tar")
#: Structures read and predicted at a time.
CHUNK = 4096


def predict_structures(
    model_dir: str | Path, path: str | Path, out_csv: str | Path, threads: int = 1
) -> int:
    """Predict the properties of structure files.

    Parameters
    ----------
    model_dir : path
        A finished surrogate folder.
    path : path
        A CIF file, a folder of CIF files, a tar archive of them, or a dataset in the 2DMD layout.
    out_csv : path
        Written whole or not at all: ``_id`` (name of the file without its ending), for every
        property its value and its spread, ``P,P_std``, and ``ood``: 1 where the structure lies
        outside of the labels (see `Predictions.ood`), so that the spread does not hold, else 0.
    threads : int
        Threads per prediction.

    Returns
    -------
    int
        Number of structures.

    Raises
    ------
    ModelError
        When the surrogate cannot be loaded, or a structure has a defect that it never saw.
    StructureMismatchError, DatasetError
        When a structure is not the surrogate's host with point defects, or a file is damaged.
    """
    surrogate = load_surrogate(model_dir, threads)
    out = Path(out_csv)
    if out.is_dir():
        raise DatasetError(f"{out} is a folder; give the name of a CSV file")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    total = outside = 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            names = [n for p in surrogate.properties for n in (p, f"{p}_std")]
            writer.writerow(["_id", *names, "ood"])
            for ids, configurations in _batches(read_configurations(path, surrogate)):
                predictions = surrogate.predict(configurations)
                _write_rows(writer, ids, predictions)
                total += len(ids)
                outside += int(predictions.ood.sum())
        if not total:
            raise DatasetError(f"{path} holds no CIF file")
        part.replace(out)
    except OSError as error:
        raise DatasetError(f"{out} could not be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    if outside:
        logger.warning(
            "%d of %d structures have more defects, more of one kind or fewer in all than the "
            "labels of the surrogate (ood in %s): their spread does not hold",
            outside,
            total,
            out.name,
        )
    return total


def read_configurations(
    path: str | Path, surrogate: FittedSurrogate
) -> Iterator[tuple[str, Configuration]]:
    """Names and configurations of all structures under a path, on the surrogate's host."""
    matcher = SiteMatcher(surrogate.host)
    known = set(surrogate.encoder.defects)
    for name, text in read_texts(Path(path)):
        try:
            configuration = matcher.match(parse_cif(text))
        except StructureMismatchError as error:
            raise StructureMismatchError(f"{path}, {name}: {error}") from error
        unknown = sorted(set(configuration.counts()) - known)
        if unknown:
            raise ModelError(
                f"{path}, {name}: has {', '.join(unknown)}, which the surrogate never saw "
                f"(it knows {', '.join(sorted(known))})"
            )
        yield name, configuration


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Names (without ending) and texts of the CIF files of a file, folder, archive or dataset."""
    if path.is_dir():
        files = sorted(path.glob("*.cif"))
        if not files or any(path.glob("defects.csv*")):
            for item in read_structures(path):
                if isinstance(item, Problem):
                    raise DatasetError(f"{path / item.file}: {item.message}")
                yield item
            return
        for file in files:
            yield file.stem, _read(file)
    elif not path.is_file():
        raise DatasetError(f"no such file or folder: {path}")
    elif path.name.endswith(_ARCHIVES):
        try:
            yield from archive_texts(path)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from error
    elif path.suffix == ".cif":
        yield path.stem, _read(path)
    else:
        raise DatasetError(
            f"{path}: give a CIF file, a folder or tar.gz of CIF files, or a dataset folder"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise DatasetError(f"{path} is not readable: {error.strerror or error}") from error


def _batches(
    items: Iterator[tuple[str, Configuration]],
) -> Iterator[tuple[list[str], list[Configuration]]]:
    ids: list[str] = []
    configurations: list[Configuration] = []
    for name, configuration in items:
        ids.append(name)
        configurations.append(configuration)
        if len(ids) == CHUNK:
            yield ids, configurations
            ids, configurations = [], []
    if ids:
        yield ids, configurations


def _write_rows(writer: Any, ids: list[str], predictions: Predictions) -> None:
    for name, mean, std, ood in zip(
        ids, predictions.mean, predictions.std, predictions.ood, strict=True
    ):
        values = [f"{v:.6g}" for pair in zip(mean, std, strict=True) for v in pair]
        writer.writerow([name, *values, int(ood)])
