"""The standard error stream while a display covers the terminal: lines are kept, not drawn over."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable
from typing import IO

#: Lines kept for after the display; the oldest go first.
MOST = 1000


class KeptLines(io.TextIOBase):
    """Stands in for the standard error stream and hands over whole lines.

    Parameters
    ----------
    sink : callable
        Is told of every line as it comes.
    """

    def __init__(self, sink: Callable[[str], None]) -> None:
        self._sink = sink
        self._rest = ""
        self._stream: IO[str] | None = None
        self.lines: deque[str] = deque(maxlen=MOST)

    def begin(self) -> None:
        """Take the stream over."""
        self._stream, sys.stderr = sys.stderr, self

    def end(self) -> None:
        """Give the stream back, and write to it what was kept."""
        if self._stream is None:
            return
        sys.stderr, stream, self._stream = self._stream, self._stream, None
        if self._rest:
            self.write("\n")
        for line in self.lines:
            stream.write(line + "\n")
        stream.flush()
        self.lines.clear()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the terminal."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        """Of the terminal: a child process writes there by itself."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Keep lines; what comes after a carriage return replaces what stood before."""
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            shown = line.rstrip("\r").rpartition("\r")[2]
            if shown.strip():
                self.lines.append(shown)
                self._sink(shown)
        return len(text)
