"""What of this machine clients may be told: names and hashes, never paths.

Manifests are shown by a list of what is allowed, so that a fact added one day stays here until
somebody has thought about it. Error texts come from many places, the engine's libraries among them:
paths are taken out of all of them where they become answers (`serve.replies.error_body`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PUBLIC_FACTS = (
    "name", "hash", "created", "fingerprint", "base_model", "base_hash", "parent", "data_hash",
    "hyperparameters", "seed", "metrics", "campaign", "round", "instruction_format", "properties",
    "own_properties", "host", "rules", "dataset", "n_instructions", "n_distilled", "n_verified",
    "versions", "files",
)  # fmt: skip
"""Entries of an adapter's manifest that clients see."""
_NAMED_BY_PATH = ("base_model", "parent", "dataset")
"""Entries that may be the name of something or the folder it lies in, also a relative one."""

_ROUTES = ("/v1/", "/healthz", "/metrics", "/docs", "/openapi.json", "/dashboard")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.]*:/+[^\s;,'\"()\[\]]+")
_PATH = re.compile(r"(?<![\w.])~?(?:/[^\s:;,'\"()\[\]]+)+/?")


def without_paths(text: str) -> str:
    """A text for others: of every path or address only the last part is left.

    The API's own routes stay. Relative paths cannot be told from units (eV/site) and stay too.
    """
    return _PATH.sub(_last_part, _ADDRESS.sub(_last_part, text))


def public_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What clients see of an adapter's manifest.

    Parameters
    ----------
    manifest : mapping
        Read from a file: of any content.

    Returns
    -------
    dict
        The `PUBLIC_FACTS` in it; base model, parent and dataset by name, the last part of a path.
    """
    shown = {key: pathless(manifest[key]) for key in PUBLIC_FACTS if key in manifest}
    for key in _NAMED_BY_PATH:
        if isinstance(shown.get(key), str):
            shown[key] = _last(shown[key])
    return shown


def pathless(value: Any) -> Any:
    """Plain JSON values, keys included, their texts by `without_paths`."""
    if isinstance(value, str):
        return without_paths(value)
    if isinstance(value, Mapping):
        return {without_paths(str(key)): pathless(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [pathless(inner) for inner in value]
    return value


def _last_part(match: re.Match[str]) -> str:
    found = match.group()
    return found if found.startswith(_ROUTES) else _last(found)


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
