"""The CIF files of a dataset, from ``initial.tar.gz`` or a folder ``initial/``."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from defects.datasets.files import DAMAGED, Problem, gzipped

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
        yield from _from_tar(archive)
    elif (path / "initial").is_dir():
        for file in sorted((path / "initial").glob("*.cif")):
            yield file.stem, file.read_text(errors="replace")
    else:
        message = f"missing (nor is there a folder initial/): no structures; {_ADVICE}"
        yield Problem("error", "initial.tar.gz", None, message)


def _from_tar(archive: Path) -> Iterator[tuple[str, str] | Problem]:
    count = 0
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.suffix != ".cif":
                    continue
                file = tar.extractfile(member)
                if file is None:
                    continue
                content = file.read()
                if len(content) != member.size:
                    raise EOFError("unexpected end of data")
                count += 1
                yield name.stem, content.decode(errors="replace")
    except (*DAMAGED, tarfile.TarError) as error:
        message = f"truncated or damaged after {count} structures ({error}); {_ADVICE}"
        yield Problem("error", archive.name, None, message)
    except OSError as error:
        message = f"not readable after {count} structures: {error.strerror or error}"
        yield Problem("error", archive.name, None, message)


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
