"""Adapter folders: published whole or not at all, checked when read.

A folder is finished when it has a ``manifest.json``; that is written last, holds the sha256 of
every other file and of itself (the seal), and the folder gets its final name, which ends in the
hash of its content, in one rename. The seal tells damage and careless edits; it is no signature.
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
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from defects.errors import ModelError
from training.base_model import file_hash

MANIFEST = "manifest.json"
#: 2: the manifest is sealed, so that lineage and facts cannot be changed unnoticed.
MANIFEST_VERSION = 2
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PACKAGES = ("torch", "transformers", "peft", "ray", "design-loop")


@dataclass(frozen=True)
class AdapterResult:
    """A finished adapter: its folder, its name, and the figures of its training."""

    path: Path
    name: str
    metrics: dict[str, Any]
    manifest: dict[str, Any]


@contextmanager
def unfinished_adapter(root: str | Path) -> Iterator[Path]:
    """A temporary folder below `root` under a name that nothing serves, removed at the end."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=root))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def publish_adapter(
    work: Path, root: str | Path, prefix: str, content: dict[str, Any]
) -> AdapterResult:
    """Finish a folder with weights and configuration and give it its name.

    Parameters
    ----------
    work : Path
        On the file system of `root`.
    content : dict
        Base model, data, hyperparameters, metrics and so on, for the manifest.

    Returns
    -------
    AdapterResult
        Of the folder ``<root>/<prefix>-<first 12 digits of the content hash>``. An adapter of the
        same content that is there already is left as it is.
    """
    files = {p.name: file_hash(p) for p in sorted(work.iterdir()) if p.is_file()}
    for needed in (WEIGHTS, CONFIG):
        if needed not in files:
            raise ModelError(f"the adapter in {work} lacks {needed}")
    digest = content_hash(files)
    name = f"{prefix}-{digest[:12]}"
    manifest = {
        "kind": "adapter",
        "manifest_version": MANIFEST_VERSION,
        "name": name,
        "hash": digest,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **content,
        "versions": _versions(),
        "files": files,
    }
    manifest = json.loads(json.dumps(manifest))  # as it will be read
    manifest["seal"] = manifest_seal(manifest)
    for file in files:
        _flush(work / file)
    with (work / MANIFEST).open("w", encoding="utf-8") as f:
        json.dump(manifest, f, indent=1)
        f.write("\n")
        f.flush()
        os.fsync(f.fileno())
    work.chmod(0o755)
    target = Path(root) / name
    if not target.exists():
        try:
            work.rename(target)
        except OSError:
            # Somebody else published the same content in between, or the rename failed.
            if not target.is_dir():
                raise
    return read_adapter(target)


def read_adapter(folder: str | Path) -> AdapterResult:
    """A finished, unaltered adapter.

    Raises
    ------
    ModelError
        If the folder is missing, unfinished, of another format, or a file was altered.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ModelError(f"no adapter folder {root}; make one with `design-loop adapter train`")
    path = root / MANIFEST
    if not path.is_file():
        raise ModelError(f"{root} is no finished adapter: it has no {MANIFEST}; train it again")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        kind, name, digest = manifest["kind"], manifest["name"], manifest["hash"]
        files, metrics = dict(manifest["files"]), dict(manifest.get("metrics", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not readable as a manifest: {error!r}") from error
    if kind != "adapter" or manifest.get("manifest_version") != MANIFEST_VERSION:
        number = manifest.get("manifest_version")
        raise ModelError(f"{path} is of a {kind!r}, version {number}, which is no adapter here")
    sealed = manifest.get("seal") == manifest_seal(manifest)
    if not sealed or content_hash(files) != digest or not {WEIGHTS, CONFIG} <= set(files):
        raise ModelError(f"{path} was altered since the adapter was trained; train it again")
    for file, wanted in files.items():
        if Path(file).name != file or not (root / file).is_file():
            raise ModelError(f"{root} lacks {file}; copy the whole folder or train it again")
        if file_hash(root / file) != wanted:
            raise ModelError(f"{root / file} was altered or is incomplete; train it again")
    return AdapterResult(root, name, metrics, manifest)


def find_adapter(root: str | Path, prefix: str, fingerprint: str) -> AdapterResult | None:
    """The finished adapter of a `training.spec.AdapterSpec`, if it was trained before."""
    for path in sorted(Path(root).glob(f"{prefix}-*/{MANIFEST}")):
        try:
            found = read_adapter(path.parent)
        except ModelError:
            continue  # somebody else's or a damaged folder is not the one sought
        if found.manifest.get("fingerprint") == fingerprint:
            return found
    return None


def content_hash(files: dict[str, str]) -> str:
    """Hash of an adapter: of the hashes of its files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def manifest_seal(manifest: dict[str, Any]) -> str:
    """Hash of all that a manifest says."""
    body = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _flush(path: Path) -> None:
    # The manifest vouches for these bytes: they have to be on disk before it is.
    with path.open("rb") as f:
        os.fsync(f.fileno())
