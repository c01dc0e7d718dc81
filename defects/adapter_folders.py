"""Adapters' folders: what makes one whole, for those who train, list and serve them.

A folder has the name that its content gives, ``<prefix>-<first 12 digits of the content hash>``,
so that another content never goes by a known name.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from defects.errors import ModelError
from defects.folders import MANIFEST, FolderKind, file_hash

#: Layout 2: the manifest is sealed, so that lineage and facts cannot be changed unnoticed.
ADAPTER = FolderKind("adapter", "manifest_version", 2, "seal", 64, "design-loop adapter train")
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
KEYS = "training_keys.txt"
"""Keys of the configurations that an adapter was trained on, a line each: what it proposes of these
is nothing new. Missing where the examples were no configurations."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}-[0-9a-f]{12}")
_BASE_FILES = ("*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*.json")


def content_hash(files: dict[str, str]) -> str:
    """Hash of an adapter: of the hashes of its files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def base_folder_hash(folder: Path) -> str:
    """SHA-256 of a base model's folder: of its weights, configuration and tokenizer.

    It is what an adapter's manifest has as ``base_hash``. All weights are read.
    """
    digest = hashlib.sha256()
    for file in sorted({f for pattern in _BASE_FILES for f in folder.glob(pattern)}):
        digest.update(f"{file.name}:{file_hash(file)}\n".encode())
    return digest.hexdigest()


def check_content(manifest: dict[str, Any], folder: Path) -> None:
    """Refuse a manifest that does not vouch for weights and configuration; no file is read.

    Parameters
    ----------
    manifest : dict
        One that `ADAPTER` knows for its own (`FolderKind.check`, `FolderKind.read`).
    folder : Path
        Where it lies, for the error.

    Raises
    ------
    ModelError
        It names no content hash, or another than that of its files, or lacks one of the two.
    """
    try:
        named = isinstance(manifest["name"], str)
        whole = content_hash(manifest["files"]) == manifest["hash"]
        whole = whole and {WEIGHTS, CONFIG} <= set(manifest["files"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder / MANIFEST} is not readable as a manifest: {error!r}") from error
    if not (named and whole):
        raise ModelError(
            f"{folder / MANIFEST} was altered since the adapter was trained; train again"
        )


def check_name(manifest: dict[str, Any], folder: Path) -> None:
    """Refuse an adapter that does not go by the name that its content gives.

    Raises
    ------
    ModelError
        The name, in the manifest or of the folder, is another: servers know adapters by it.
    """
    name, digest = manifest["name"], manifest["hash"][:12]
    if not NAME.fullmatch(name) or not name.endswith(f"-{digest}"):
        raise ModelError(
            f"{folder / MANIFEST} was altered: the name {name!r} does not end in the "
            f"hash of the content, {digest}; train it again"
        )
    if folder.name != name:
        raise ModelError(f"{folder} was renamed; its name is {name}: name it so again")


def check_manifest(manifest: object, folder: Path) -> dict[str, Any]:
    """The manifest, if it is the sealed one of an adapter of this name; its files are not read.

    Raises
    ------
    ModelError
        See `FolderKind.check`, `check_content` and `check_name`.
    """
    checked = ADAPTER.check(manifest, folder)
    check_content(checked, folder)
    check_name(checked, folder)
    return checked


def read_whole(folder: Path) -> dict[str, Any]:
    """The manifest of a finished, unaltered adapter under its own name; all its files are read.

    Raises
    ------
    ModelError
        See `FolderKind.read` and `check_manifest`.
    """
    manifest = ADAPTER.read(folder)
    check_content(manifest, folder)
    check_name(manifest, folder)
    return manifest
