"""Adapters as training publishes them, and as somebody leaves them who meddles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from defects.adapter_folders import ADAPTER, CONFIG, WEIGHTS, content_hash
from defects.folders import MANIFEST, file_hashes
from training.manifest import publish_adapter, unfinished_adapter

FILES = {WEIGHTS: b"weights", CONFIG: b"{}"}


def publish(
    root: Path, prefix: str = "r001", files: dict[str, bytes] | None = None, **facts: Any
) -> Path:
    """Path of a finished adapter below `root` with these files, besides those it cannot lack."""
    with unfinished_adapter(root) as work:
        for name, content in {**FILES, **(files or {})}.items():
            (work / name).write_bytes(content)
        return publish_adapter(work, root, prefix, facts).path


def edit(folder: Path, *, hashes: bool = False, seal: bool = False, **change: Any) -> None:
    """Change a manifest; `hashes` makes those of the files right again, `seal` the seal."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text()) | change
    manifest = {key: value for key, value in manifest.items() if value is not None}
    if hashes:
        manifest["files"] = file_hashes(folder)
        manifest["hash"] = content_hash(manifest["files"])
    if seal:
        manifest["seal"] = ADAPTER.seal(manifest)
    path.write_text(json.dumps(manifest))
