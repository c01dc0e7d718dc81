"""A campaign's results as one zip, built on disk and sent piece by piece."""

from __future__ import annotations

import logging
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from design_loop.export import ExportError, export_candidates
from design_loop.ledger import Ledger
from design_loop.report import write_report
from design_loop.summary import summarise_campaign
from serve.errors import ApiError

log = logging.getLogger(__name__)

#: Downloads that are put together at a time: each takes a core and its size on disk.
_AT_A_TIME = 2
_PIECE = 1 << 16


class Packer:
    """Puts downloads together, a few at a time.

    Parameters
    ----------
    max_bytes : int
        Of the files of one download, before they are packed.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._places = threading.BoundedSemaphore(_AT_A_TIME)

    def pack(
        self, ledger: Ledger, campaign: str, fmt: str, *, hits: bool, top: int
    ) -> Iterator[bytes]:
        """The bytes of the zip.

        Parameters
        ----------
        ledger, campaign
            Which.
        fmt : str
            Of the structures.
        hits : bool
            Only candidates that meet all targets.
        top : int
            At most so many.

        Raises
        ------
        ApiError
            409 while there is nothing to download, 413 for more than may be, 503 while others are
            at it or the disk is full.
        """
        if not self._places.acquire(blocking=False):
            raise ApiError(503, "busy", "other downloads are being put together; try again")
        try:
            with tempfile.TemporaryDirectory(prefix="design-loop-") as folder:
                return _pieces(self._zip(ledger, campaign, fmt, Path(folder), hits, top))
        except ExportError as error:
            text = "there is no candidate of that kind with a label yet"
            raise ApiError(409, "nothing_to_download", text) from error
        except OSError as error:
            log.error("a download of %s could not be written: %s", campaign, error)
            raise ApiError(503, "unavailable", "no room for a download; try later") from error
        finally:
            self._places.release()

    def _zip(
        self, ledger: Ledger, campaign: str, fmt: str, folder: Path, hits: bool, top: int
    ) -> IO[bytes]:
        summary = summarise_campaign(ledger, campaign)
        chosen = {"top": top, "only_hits": hits}
        files = export_candidates(summary, fmt, folder / "candidates", **chosen)
        files += export_candidates(summary, "json", folder, **chosen)
        self._check(files)
        write_report(ledger, campaign, folder / "report.html")
        files.append(folder / "report.html")
        self._check(files)
        packed = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by who sends it
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, f"{campaign}/{path.relative_to(folder)}")
        packed.seek(0)
        return packed

    def _check(self, files: list[Path]) -> None:
        size = sum(path.stat().st_size for path in files)
        if size > self._max_bytes:
            raise ApiError(
                413,
                "download_too_large",
                f"{size} bytes are more than the {self._max_bytes} that this server sends; ask for "
                "fewer candidates with ?top=, or for ?hits=true",
            )


def _pieces(packed: IO[bytes]) -> Iterator[bytes]:
    # The file has no name any more; its room on disk is free as soon as it is closed.
    with packed:
        while piece := packed.read(_PIECE):
            yield piece
