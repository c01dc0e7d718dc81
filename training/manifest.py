"""Adapter folders: published under the hash of their content; see `defects.folders`.

The folder gets its final name, which ends in that hash, in one rename.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from defects.adapter_folders import ADAPTER, CONFIG, WEIGHTS, check_content, content_hash
from defects.errors import ModelError
from defects.folders import MANIFEST, file_hashes, unfinished_folder
from defects.versions import installed_versions

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
    manifest = ADAPTER.read(root)
    check_content(manifest, root)
    try:
        metrics = dict(manifest.get("metrics", {}))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{root / MANIFEST} is not readable as a manifest: {error!r}") from error
    return AdapterResult(root, manifest["name"], metrics, manifest)


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
