"""What pages and reports say of settings and models: names, numbers and hashes, no places.

Pages are read over a network and reports are passed on, so both show lists of what is allowed; see
`serve.public`. The whole is in the ledger and in the models' folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serve.public import pathless

SHOWN_SECTIONS = (
    "name", "seed", "host", "rules", "targets", "properties", "rounds", "dataset", "base_model",
    "proposer", "generation", "adapter", "surrogate", "selection", "oracle", "learn", "serving",
    "resources",
)  # fmt: skip
"""Sections of a campaign file that are shown. `tracking` is left out: its address may hold a
password."""
_HIDDEN = {
    # Values of variables may be secrets, and mean something on one machine only.
    "environment",
    # Machines and shared folders.
    "ray_address",
    "train_storage",
}
SURROGATE_FACTS = (
    "version", "host", "encoder", "properties", "domain", "n_labels", "data_sha256", "seed",
    "model", "iterations", "folds", "params", "fit_seconds", "created", "versions", "files",
)  # fmt: skip
"""Entries of a surrogate's manifest that are shown."""


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A campaign's settings for others.

    Parameters
    ----------
    config : mapping
        As the ledger keeps it, with absolute paths.

    Returns
    -------
    dict
        The `SHOWN_SECTIONS`, without environments and machines; folders and files by name.
    """
    return {name: _shown(config[name]) for name in SHOWN_SECTIONS if name in config}


def public_surrogate(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The `SURROGATE_FACTS` in a manifest."""
    return {key: pathless(manifest[key]) for key in SURROGATE_FACTS if key in manifest}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(inner) for key, inner in value.items() if key not in _HIDDEN}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return pathless(value)
