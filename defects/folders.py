"""Model folders (surrogates, adapters): written whole or not at all, checked when read.

A folder is finished when it has a ``manifest.json``. That is written last, lists the SHA-256 of
every other file and is sealed by a hash of its own content, so nothing changes unnoticed. The seal
tells damage and careless edits; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from defects.errors import ModelError

MANIFEST = "manifest.json"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits; the file is read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder but its manifest, by relative name, sorted."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    return {p.relative_to(folder).as_posix(): file_hash(p) for p in files}


@contextmanager
def unfinished_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A temporary folder below `parent`, removed at the end unless it was renamed before."""
    parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True)
class FolderKind:
    """One kind of finished folder and the layout of its manifest.

    Attributes
    ----------
    name : str
        ``surrogate``: the manifest's ``kind``, and the word for it in errors.
    version_key, version : str, int
        Entry of the manifest that says of which layout it is, and the layout known here.
    seal_key : str
        Entry with the hash of all others.
    seal_digits : int
        Hexadecimal digits of that hash that are kept.
    made_by : str
        Command that makes such a folder.
    """

    name: str
    version_key: str
    version: int
    seal_key: str
    seal_digits: int
    made_by: str

    def seal(self, manifest: dict[str, Any]) -> str:
        """Hash of all that a manifest says but the seal itself."""
        body = {key: value for key, value in manifest.items() if key != self.seal_key}
        content = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[: self.seal_digits]

    def finish(
        self, work: Path, content: dict[str, Any], files: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Make a folder a finished one by its manifest; it can be renamed into place then.

        Parameters
        ----------
        work : Path
        content : dict
            What the manifest says beyond kind, layout, hashes and seal; plain JSON values.
        files : dict, optional
            `file_hashes` of `work` where they are known already.

        Returns
        -------
        dict
            The manifest as it will be read.
        """
        files = file_hashes(work) if files is None else files
        manifest = {"kind": self.name, self.version_key: self.version, **content, "files": files}
        manifest = json.loads(json.dumps(manifest))
        manifest[self.seal_key] = self.seal(manifest)
        for name in files:
            # The manifest vouches for these bytes: they have to be on disk before it is.
            with (work / name).open("rb") as stream:
                os.fsync(stream.fileno())
        with (work / MANIFEST).open("w", encoding="utf-8") as stream:
            json.dump(manifest, stream, indent=1)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        work.chmod(0o755)  # temporary folders are their owner's only
        return manifest

    def check(self, manifest: object, folder: Path) -> dict[str, Any]:
        """The manifest, if it is a sealed one of this kind; the files that it names are not read.

        Parameters
        ----------
        manifest : object
            As it was read, of any content.
        folder : Path
            Where it lies, for errors.

        Raises
        ------
        ModelError
            When it is no manifest, of another kind or layout, or was altered.
        """
        path = folder / MANIFEST
        try:
            kind, version = manifest["kind"], manifest.get(self.version_key)
            manifest["files"].items()
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is not readable as a manifest: {error!r}") from error
        if (kind, version) != (self.name, self.version):
            raise ModelError(
                f"{folder} holds a {kind!r} of layout {version}, which is no {self.name} here "
                f"(layout {self.version}); train it again"
            )
        if manifest.get(self.seal_key) != self.seal(manifest):
            raise ModelError(f"{path} was altered since the {self.name} was trained; train again")
        return manifest

    def read(self, folder: str | Path) -> dict[str, Any]:
        """The manifest of a finished, unaltered folder.

        Raises
        ------
        ModelError
            When the folder is missing, unfinished, of another kind or layout, or anything in it was
            altered.
        """
        root = Path(folder)
        if not root.is_dir():
            raise ModelError(f"no {self.name} folder {root}; make one with `{self.made_by}`")
        path = root / MANIFEST
        if not path.is_file():
            raise ModelError(
                f"{root} is no finished {self.name}: it has no {MANIFEST}; train it again"
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{path} is not readable as a manifest: {error!r}") from error
        manifest = self.check(content, root)
        for name, digest in manifest["files"].items():
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts or not (root / name).is_file():
                raise ModelError(f"{root} lacks {name}; copy the whole folder or train it again")
            if file_hash(root / name) != digest:
                raise ModelError(f"{root / name} was altered or is incomplete; train it again")
        return manifest
