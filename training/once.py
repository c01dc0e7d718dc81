"""Files that are read once per process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Files remembered per reader: the training and the held-out examples, of one training or two.
KEPT = 4


def once_per_file(read: Callable[[str | Path], T]) -> Callable[[str | Path], T]:
    """Make a reader remember what it read, until the file changes.

    A training worker asks its sources for every epoch; reading and checking labelled structures
    again each time would cost more than drawing the epoch. Callers share what comes back: they must
    not change it.
    """

    @lru_cache(maxsize=KEPT)
    def remembered(path: Path, stamp: tuple[int, ...]) -> T:
        return read(path)

    @wraps(read)
    def reader(path: str | Path) -> T:
        try:
            found = Path(path).stat()
        except OSError:
            return read(path)  # which says what is wrong with it
        return remembered(
            Path(path).absolute(), (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
        )

    return reader
