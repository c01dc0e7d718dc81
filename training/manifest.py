"""Adapter folders: published under the hash of their content; see `defects.folders`.

The folder gets its final name, which ends in that hash, in one rename.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from defects.errors import ModelError
from defects.folders import MANIFEST, FolderKind, file_hashes, unfinished_folder
from defects.versions import installed_versions

#: Layout 2: the manifest is sealed, so that lineage and facts cannot be changed unnoticed.
ADAPTER = FolderKind("adapter", "manifest_version", 2, "seal", 64, "design-loop adapter train")
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
KEYS = "training_keys.txt"
"""Keys of the configurations that an adapter was trained on, a line each: what it proposes of these
is nothing new. Missing where the examples were no configurations."""
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
    with unfinished_folder(Path(root), ".unfinished-") as work:
        yield work


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
    files = file_hashes(work)
    for needed in (WEIGHTS, CONFIG):
        if needed not in files:
            raise ModelError(f"the adapter in {work} lacks {needed}")
    digest = content_hash(files)
    name = f"{prefix}-{digest[:12]}"
    facts = {
        "name": name,
        "hash": digest,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **content,
        "versions": installed_versions(_PACKAGES),
    }
    ADAPTER.finish(work, facts, files)
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
    path = root / MANIFEST
    manifest = ADAPTER.read(root)
    try:
        name, digest, files = manifest["name"], manifest["hash"], manifest["files"]
        metrics = dict(manifest.get("metrics", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not readable as a manifest: {error!r}") from error
    if content_hash(files) != digest or not {WEIGHTS, CONFIG} <= set(files):
        raise ModelError(f"{path} was altered since the adapter was trained; train again")
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
