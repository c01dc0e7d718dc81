"""The journal of a labelling run: one line per result, on disk before the next is asked for.

``journal.jsonl`` in the output folder. Its first line says which host and oracle it belongs to; the
pristine energy, where it had to be computed, has a line of its own and is no label. A kill at any
moment loses at most the calls in flight: a last line that was cut off is dropped.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from defects.errors import DatasetError
from defects.hosts import Host
from defects.oracles import Oracle
from design_loop.oracle_pool import LabelResult

logger = logging.getLogger(__name__)

NAME = "journal.jsonl"


def header(host: Host, oracle: Oracle) -> dict[str, Any]:
    """First line: what the labels in a journal are labels of."""
    metric = np.round(host.lattice @ host.lattice.T, 3) + 0.0
    return {
        "journal": 1,
        "host": host.key,
        "cell": metric.tolist(),
        "oracle": oracle.name,
        "settings": oracle.settings(),
        "version": oracle.version,
    }


class Journal:
    """An open journal; use `open_journal`.

    Attributes
    ----------
    entries : dict
        Last entry of every class by `Configuration.key`: ``{"key", "defects", "properties", ...}``
        for a label, ``{"key", "defects", "error", "error_type", "tries"}`` for a failure. A label
        has ``details`` where the oracle gave more, such as a relaxed structure.
    pristine : float or None
        Energy of the pristine supercell by the oracle in its present version, eV, once recorded.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self.entries: dict[str, dict[str, Any]] = {}
        self.pristine: float | None = None

    def append(self, result: LabelResult) -> None:
        """Record a result; on return it is on disk.

        Raises
        ------
        DatasetError
            When the disk is full.
        """
        entry: dict[str, Any] = {
            "key": result.configuration.key,
            "defects": [[d.site, d.species] for d in result.configuration.defects],
            "tries": result.tries,
            "seconds": round(result.seconds, 2),
        }
        if result.labels is not None:
            entry["properties"] = result.labels
            if result.details:
                entry["details"] = dict(result.details)
        else:
            entry |= {"error": result.error, "error_type": result.error_type}
            entry["traceback"] = result.traceback
        self._write(entry)
        self.entries[entry["key"]] = entry

    def keep_pristine(self, energy: float, version: str) -> None:
        """Record the pristine energy by a version of the oracle; errors as `append`."""
        self._write({"pristine": energy, "version": version})
        self.pristine = energy

    def labels(self) -> list[dict[str, Any]]:
        """Entries with properties, in the order of their first mention."""
        return [e for e in self.entries.values() if "properties" in e]

    def failures(self) -> list[dict[str, Any]]:
        """Entries that failed last time."""
        return [e for e in self.entries.values() if "properties" not in e]

    def _write(self, entry: dict[str, Any]) -> None:
        end = self._file.tell()
        try:
            self._file.write((json.dumps(entry) + "\n").encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._drop_from(end)
            raise DatasetError(
                f"cannot write {self.path}: {error.strerror or error}; the {len(self.labels())} "
                "labels in it are safe: make room and run the same command again"
            ) from error

    def _drop_from(self, end: int) -> None:
        try:
            self._file.seek(end)
            self._file.truncate()
        except OSError:
            logger.warning("half a line stays at the end of %s; it will be ignored", self.path)

    def load(self, expected: dict[str, Any]) -> None:
        """Read what is there, drop a last line that was cut off, and check whose it is."""
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines()
        if len(whole) < len(data):
            logger.warning("%s: a last line was cut off and is dropped", self.path)
            self._drop_from(len(whole))
        if not lines:
            self._write(expected)
            return
        parsed = [self._parse(number, line) for number, line in enumerate(lines, start=1)]
        _check_header(parsed[0], expected, self.path)
        for number, entry in enumerate(parsed[1:], start=2):
            if "pristine" in entry:
                if entry.get("version") == expected["version"]:
                    self.pristine = entry["pristine"]
                continue
            if "key" not in entry or "defects" not in entry:
                raise self._damaged(number, "no label and no failure")
            self.entries[entry["key"]] = entry

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise self._damaged(number, str(error)) from error
        if not isinstance(entry, dict):
            raise self._damaged(number, "no object")
        return entry

    def _damaged(self, number: int, why: str) -> DatasetError:
        return DatasetError(
            f"{self.path}, line {number} is damaged ({why}); remove the line, or label into "
            "another folder"
        )


@contextmanager
def open_journal(folder: Path, host: Host, oracle: Oracle) -> Iterator[Journal]:
    """Open the journal of an output folder, made when there is none, for this process alone.

    Raises
    ------
    DatasetError
        When it belongs to another host or oracle, is damaged, or another process writes to it.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
        file = path.open("r+b")
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatasetError(
                f"another process is labelling into {folder}; wait for it or use another folder"
            ) from error
        journal = Journal(path, file)
        journal.load(header(host, oracle))
        yield journal


def _check_header(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    for name in ("journal", "host", "cell", "oracle", "settings"):
        if found.get(name) != expected[name]:
            raise DatasetError(
                f"{path} holds labels of another {name} ({_brief(found.get(name))}, now "
                f"{_brief(expected[name])}); label into another folder"
            )
    if found.get("version") != expected["version"]:
        logger.warning(
            "%s was begun with oracle version %s, now it is %s",
            path,
            found.get("version"),
            expected["version"],
        )


def _brief(value: Any) -> str:
    return json.dumps(value)[:200]
