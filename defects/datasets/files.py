"""Reading and writing single files of a dataset: whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from defects.errors import DatasetError


@dataclass(frozen=True)
class Problem:
    """Something wrong with a dataset.

    Attributes
    ----------
    severity : str
        ``error`` (the dataset cannot be read or a label is wrong) or ``warning``.
    file : str
        File within the dataset.
    row : int or None
        Line of the file, the header being line 1; None when it concerns the whole file.
    message : str
    """

    severity: str
    file: str
    row: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.message}"


@dataclass(frozen=True)
class Table:
    """A CSV file: column names and rows with their line numbers."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


#: What a cut-off or damaged gzip stream raises.
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


def read_bytes(path: Path) -> bytes:
    """Content of a file, unzipped when its name ends in ``.gz``.

    Raises
    ------
    DatasetError
        When the file cannot be read or is truncated.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except DAMAGED as error:
        raise DatasetError(
            f"{path} is truncated or damaged ({error}); fetch the file again"
        ) from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error


def read_table(path: Path) -> Table:
    """Read a CSV file with a header line, plain or gzipped.

    Raises
    ------
    DatasetError
        When it is truncated, is no text, is empty, or a row has another number of cells than the
        header; the message names file and row.
    """
    try:
        text = read_bytes(path).decode()
        lines = [
            (reader.line_num, tuple(row))
            for reader in [csv.reader(io.StringIO(text), strict=True)]
            for row in reader
            if row
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is no readable CSV file: {error}") from error
    if not lines:
        raise DatasetError(f"{path} is empty; fetch the file again")
    columns = lines[0][1]
    for number, row in lines[1:]:
        if len(row) != len(columns):
            raise DatasetError(
                f"{path}, row {number}: {len(row)} cells, the header has {len(columns)}; "
                "a cut-off file? fetch it again"
            )
    return Table(path.name, columns, tuple(lines[1:]))


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part.

    Raises
    ------
    DatasetError
        When the disk is full or the folder not writable; what was there before stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DatasetError(
            f"cannot write {path}: {error.strerror or error}; what was there before is unchanged"
        ) from error


def gzipped(data: bytes) -> bytes:
    """Gzip without a time stamp: the same content gives the same file."""
    return gzip.compress(data, mtime=0)
