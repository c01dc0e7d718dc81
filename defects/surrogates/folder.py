"""Surrogate folders: written whole or not at all, checked when read.

A folder is finished when it has a ``manifest.json``, which is written last; it lists the SHA-256 of
every other file and is itself covered by the version, so nothing can change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from defects.errors import ModelError

MANIFEST = "manifest.json"
#: 2: the files of a model's kind lie in a folder of their own.
FORMAT = 2


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_version(manifest: dict[str, Any]) -> str:
    """Version of a surrogate: a hash of its manifest, which hashes all files."""
    body = {k: v for k, v in manifest.items() if k != "version"}
    content = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@contextmanager
def unfinished_folder(out_dir: str | Path) -> Iterator[Path]:
    """A temporary folder beside `out_dir`, removed unless `finish_folder` moved it into place.

    Raises
    ------
    ModelError
        When `out_dir` exists already (a surrogate is never replaced under its name), or writing
        fails (disk full, no permission).
    """
    out = Path(out_dir)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} exists already; remove it or give another folder for the model")
    work: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        yield work
    except OSError as error:
        raise ModelError(
            f"the surrogate could not be written to {out}: {error.strerror or error}; nothing is "
            "left behind, try again when this is mended"
        ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def finish_folder(work: Path, out_dir: str | Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest with hashes and version, and move the folder into place.

    Returns
    -------
    dict
        The manifest as written.
    """
    files = sorted(p for p in work.rglob("*") if p.is_file())
    full = {
        "kind": "surrogate",
        "format": FORMAT,
        **manifest,
        "files": {p.relative_to(work).as_posix(): file_hash(p) for p in files},
    }
    full = json.loads(json.dumps(full))
    full["version"] = manifest_version(full)
    with (work / MANIFEST).open("w") as stream:
        json.dump(full, stream, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    work.chmod(0o755)
    work.replace(out_dir)
    return full


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a finished, unaltered folder.

    Raises
    ------
    ModelError
        When the folder is missing, unfinished, of another format, or a file was altered.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ModelError(f"no surrogate folder {root}; make one with `surrogate train`")
    path = root / MANIFEST
    if not path.is_file():
        raise ModelError(f"{root} is no finished surrogate: it has no {MANIFEST}; train it again")
    try:
        manifest = json.loads(path.read_text())
        kind, version = manifest["kind"], manifest["version"]
        files = dict(manifest["files"])
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not readable as a manifest: {error!r}") from error
    if kind != "surrogate" or manifest.get("format") != FORMAT:
        raise ModelError(
            f"{root} holds a {kind} of format {manifest.get('format')}, not a surrogate of format "
            f"{FORMAT}; train it again"
        )
    if manifest_version(manifest) != version:
        raise ModelError(f"{path} was altered since the surrogate was trained; train it again")
    for name, wanted in files.items():
        file = root / name
        if ".." in Path(name).parts or not file.is_file():
            raise ModelError(f"{root} lacks {name}; copy the whole folder or train it again")
        if file_hash(file) != wanted:
            raise ModelError(f"{file} was altered or is incomplete; train the surrogate again")
    return manifest
