"""Adapters in a bucket: listed and read by address, fetched once, checked against their hashes.

Addresses are those that pyarrow opens: ``s3://bucket/path`` (credentials and AWS_ENDPOINT_URL from
the environment, as for every AWS program), ``gs://bucket/path`` (application default credentials;
CLOUD_STORAGE_EMULATOR_ENDPOINT), ``abfs://...``, ``hdfs://...``, ``file:///shared/folder``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defects.adapter_folders import check_manifest, read_whole
from defects.errors import ModelError
from defects.folders import MANIFEST

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

logger = logging.getLogger(__name__)

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")
ADDRESS = re.compile(r"([a-z][a-z0-9+]*)://(.*)", re.DOTALL)
CACHE = "DESIGN_LOOP_CACHE"
"""Names the folder that fetched adapters are kept in; ~/.cache/design-loop where it is not set."""

MAX_MANIFEST_BYTES = 1_000_000
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class AdapterDamagedError(ModelError):
    """A finished adapter that is not as training left it (HTTP 409)."""


@contextmanager
def told(name: str, place: Path) -> Iterator[None]:
    """Tell what is wrong with an adapter's folder `place` in words that name no path."""
    try:
        yield
    except ModelError as error:
        said = str(error).replace(f"{place}/", "").replace(str(place), "its folder")
        raise AdapterDamagedError(f"adapter {name}: {said}") from error


def is_address(value: object) -> bool:
    """Whether a root is an address rather than a folder."""
    return isinstance(value, str) and ADDRESS.fullmatch(value) is not None


def check_address(value: str) -> str:
    """`value` if it is an address that can be opened; raises ValueError otherwise."""
    found = ADDRESS.fullmatch(value)
    if found is None or found[1] not in SCHEMES:
        raise ValueError(
            f"{value}: write a folder, or an address that begins with "
            f"{', '.join(f'{s}://' for s in SCHEMES)}"
        )
    if not found[2].partition("?")[0].strip("/"):
        raise ValueError(f"{value} names no bucket or folder")
    return value


class Bucket:
    """Finished adapters below one address.

    What was found finished is remembered: an adapter has a new name for every content.

    Parameters
    ----------
    address : str
    cache : Path, optional
        Where fetched adapters are kept.
    """

    def __init__(self, address: str, cache: Path | None = None) -> None:
        self.address = check_address(address)
        kept = os.environ.get(CACHE)
        root = Path(kept) if kept else Path.home() / ".cache" / "design-loop"
        digest = hashlib.sha256(address.encode()).hexdigest()[:16]
        self.cache = (cache or root / "adapters") / digest
        self._opened: tuple[FileSystem, str] | None = None
        self._manifests: dict[str, dict[str, Any]] = {}

    def names(self) -> list[str]:
        """Folders directly below the address.

        Raises
        ------
        ModelError
            The address cannot be read.
        """
        from pyarrow.fs import FileSelector, FileType

        system, root = self._open()
        try:
            found = system.get_file_info(FileSelector(root, allow_not_found=True))
        except OSError as error:
            raise self._unreadable(error) from error
        return sorted(entry.base_name for entry in found if entry.type == FileType.Directory)

    def manifest(self, name: str) -> dict[str, Any] | None:
        """Manifest of a finished adapter, None where there is none of the (checked) name.

        Raises
        ------
        AdapterDamagedError
            It is not one that training sealed for this name.
        ModelError
            The address cannot be read.
        """
        from pyarrow.fs import FileType

        if name in self._manifests:
            return self._manifests[name]
        system, root = self._open()
        path = f"{root}/{name}/{MANIFEST}"
        try:
            info = system.get_file_info(path)
            if info.type != FileType.File or info.size > MAX_MANIFEST_BYTES:
                return None
            with system.open_input_stream(path) as stream:
                content = json.loads(stream.read().decode("utf-8"))
        except OSError as error:
            raise self._unreadable(error) from error
        except (ValueError, RecursionError):
            return None
        place = Path("/", name)  # stands for the folder in errors, and is taken out of them
        with told(name, place):
            self._manifests[name] = check_manifest(content, place)
        return self._manifests[name]

    def fetch(self, name: str, manifest: dict[str, Any]) -> Path:
        """Folder of the adapter on this machine: fetched the first time, checked every time.

        Raises
        ------
        AdapterDamagedError
            A file is missing or is not what the manifest says.
        ModelError
            The address cannot be read.
        """
        target = self.cache / name
        if target.is_dir():
            try:
                read_whole(target)
            except ModelError as error:
                logger.warning("fetched again: %s", error)
                shutil.rmtree(target, ignore_errors=True)
            else:
                return target
        system, root = self._open()
        self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".fetched-", dir=self.cache) as scratch:
            work = Path(scratch) / name
            work.mkdir()
            for file in manifest["files"]:
                if not _PLAIN.fullmatch(file):
                    raise AdapterDamagedError(f"adapter {name}: names a file {file!r}")
                try:
                    with system.open_input_stream(f"{root}/{name}/{file}") as stream:
                        content = stream.read()
                except FileNotFoundError as error:
                    raise AdapterDamagedError(
                        f"adapter {name}: lacks {file}; copy the whole folder again"
                    ) from error
                except OSError as error:
                    raise self._unreadable(error) from error
                (work / file).write_bytes(content)
            (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            with told(name, work):
                read_whole(work)
            try:
                work.rename(target)
            except OSError:
                if not target.is_dir():  # else another replica was quicker
                    raise
        return target

    def _open(self) -> tuple[FileSystem, str]:
        if self._opened is None:
            try:
                from pyarrow.fs import FileSystem
            except ImportError as error:
                raise ModelError(
                    f"{self.address} needs pyarrow: install design-loop[cpu] or design-loop[gpu]"
                ) from error
            try:
                system, root = FileSystem.from_uri(self.address)
            except (OSError, ValueError) as error:
                raise self._unreadable(error) from error
            self._opened = system, root.rstrip("/")
        return self._opened

    def _unreadable(self, error: Exception) -> ModelError:
        first = str(error).splitlines()[0][:300]
        return ModelError(f"adapters at {self.address} cannot be read: {first}")
