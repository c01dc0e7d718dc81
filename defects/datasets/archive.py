"""The CIF files of a dataset, from ``initial.tar.gz`` or a folder ``initial/``."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO

from defects.datasets.files import DAMAGED, Problem, gzipped
from defects.errors import DatasetError

_ADVICE = "fetch it again"


def read_structures(path: Path) -> Iterator[tuple[str, str] | Problem]:
    """Names (without ``.cif``) and texts of all CIF files of a dataset.

    Nothing is unpacked to disk. A truncated archive gives what comes before the cut, then a
    `Problem`.
    """
    archive = next(
        (p for p in (path / "initial.tar.gz", path / "initial.tar") if p.is_file()), None
    )
    if archive is not None:
        try:
            yield from archive_texts(archive)
        except DatasetError as error:
            yield Problem("error", archive.name, None, str(error))
    elif (path / "initial").is_dir():
        for file in sorted((path / "initial").glob("*.cif")):
            yield file.stem, file.read_text(errors="replace")
    else:
        message = f"missing (nor is there a folder initial/): no structures; {_ADVICE}"
        yield Problem("error", "initial.tar.gz", None, message)


def archive_texts(archive: Path) -> Iterator[tuple[str, str]]:
    """Names (without ``.cif``) and texts of the CIF files in a tar archive, gzipped or not.

    Raises
    ------
    DatasetError
        After the last whole file, when the archive is cut off, damaged or not readable; its path is
        left to the caller.
    """
    count = 0
    try:
        with _opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.suffix != ".cif" or name.name.startswith("."):
                    continue
                file = tar.extractfile(member)
                if file is None:
                    continue
                content = file.read()
                if len(content) != member.size:
                    raise EOFError("unexpected end of data")
                count += 1
                yield name.stem, content.decode(errors="replace")
            stream.finish()
    except (*DAMAGED, tarfile.TarError) as error:
        raise DatasetError(
            f"truncated or damaged after {count} structures ({error}); {_ADVICE}"
        ) from error
    except OSError as error:
        raise DatasetError(
            f"not readable after {count} structures: {error.strerror or error}"
        ) from error


class _Watched:
    """A stream that remembers how it ended: `tarfile` takes a cut before a header for the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._last = b""

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._last = (self._last + data)[-tarfile.BLOCKSIZE :]
        return data

    def finish(self) -> None:
        """Read what is left, gzip's checksum included; raise `EOFError` unless it ends as a tar."""
        while self.read(tarfile.RECORDSIZE):
            pass
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise EOFError("the mark at the end is missing")


@contextmanager
def _opened(archive: Path) -> Iterator[_Watched]:
    with archive.open("rb") as raw:
        zipped = raw.peek(2)[:2] == b"\x1f\x8b"
        with gzip.GzipFile(fileobj=raw) if zipped else nullcontext(raw) as stream:
            yield _Watched(stream)


def pack_structures(structures: Mapping[str, str]) -> bytes:
    """A gzipped archive ``initial/<name>.cif``; the same structures give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, text in structures.items():
            data = text.encode()
            member = tarfile.TarInfo(f"initial/{name}.cif")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzipped(buffer.getvalue())
