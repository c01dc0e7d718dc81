"""Output that may lose its reader: ``... | head``, a ``tee`` that died, a terminal that was closed.

Whoever looks on is not needed for a campaign; it goes on to its end when nobody reads any more.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.progress.protocol import Progress
    from design_loop.summary import CampaignSummary, RoundSummary

#: Errors after which nothing written to a stream will ever arrive; a full disk may get room again.
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET})


class LastingProgress:
    """Tells a display everything, and lets no error of its output reach who tells.

    Each event is tried: a log on a full disk goes on when there is room again.

    Parameters
    ----------
    shown : Progress
        The display.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    @property
    def campaign(self) -> str:
        """Id of the campaign that began; empty before."""
        return self._shown.campaign

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._shown.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._shown.__exit__(kind, error, trace)

    def campaign_started(
        self, campaign: str, config: CampaignConfig, calls: int | None = None
    ) -> None:
        with suppress(OSError):
            self._shown.campaign_started(campaign, config, calls)

    def campaign_extended(self, config: CampaignConfig, calls: int) -> None:
        with suppress(OSError):
            self._shown.campaign_extended(config, calls)

    def step_started(self, number: int, step: str, detail: str = "") -> None:
        with suppress(OSError):
            self._shown.step_started(number, step, detail)

    def step_advanced(self, done: int, total: int | None = None) -> None:
        with suppress(OSError):
            self._shown.step_advanced(done, total)

    def step_finished(
        self, number: int, step: str, seconds: float, info: Mapping[str, Any]
    ) -> None:
        with suppress(OSError):
            self._shown.step_finished(number, step, seconds, info)

    def message(self, level: str, text: str) -> None:
        with suppress(OSError):
            self._shown.message(level, text)

    def round_finished(self, summary: RoundSummary) -> None:
        with suppress(OSError):
            self._shown.round_finished(summary)

    def campaign_finished(self, summary: CampaignSummary) -> None:
        with suppress(OSError):
            self._shown.campaign_finished(summary)


class LastingStream:
    """A text stream that drops what it cannot write.

    Parameters
    ----------
    stream
        Where to write.

    Attributes
    ----------
    error : OSError or None
        The first of its errors. After one that means that the reader is gone, the file descriptor
        is that of the null device, so that neither a library nor the end of the process stumbles
        over it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None
        self._gone = False

    def __getattr__(self, name: str) -> Any:
        """Anything else is that of the stream: its encoding, whether it is a terminal."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write, or drop."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is kept back, or drop it."""
        with self._dropping():
            self._stream.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            if error.errno in _GONE and not self._gone:
                self._gone = True
                with suppress(OSError):  # a stream of a test or a notebook has no descriptor
                    silence(self._stream.fileno())


@contextmanager
def lasting_output() -> Iterator[LastingStream]:
    """Let the standard streams of this process lose their readers without harm.

    Everything in the process is covered: displays, logging, warnings, what libraries print.

    Yields
    ------
    LastingStream
        The standard output, which knows afterwards whether all of it was written.
    """
    kept = sys.stdout, sys.stderr
    out, err = map(LastingStream, kept)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = kept


def silence(descriptor: int) -> None:
    """Make a file descriptor that of the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
