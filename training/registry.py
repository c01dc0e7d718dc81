"""Adapters below a folder: which are there, where they come from, and whether they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from defects.adapter_folders import CONFIG, NAME, check_name
from defects.errors import ModelError
from defects.folders import MANIFEST
from training.manifest import AdapterResult, read_adapter

LINEAGE = ("base_model", "base_hash", "parent", "data_hash", "campaign", "round")


@dataclass(frozen=True)
class Entry:
    """An adapter's folder as it was found.

    Attributes
    ----------
    path : Path
    name : str
        The folder's name.
    problem : str or None
        Why it is refused; None for a finished, unaltered adapter.
    manifest : dict
        Empty where it is refused: what it says is then nothing to rely on.
    """

    path: Path
    name: str
    problem: str | None = None
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether the adapter may be used."""
        return self.problem is None

    def summary(self) -> dict[str, Any]:
        """Name, path, soundness and lineage as plain values."""
        return {
            "name": self.name,
            "path": str(self.path),
            "sound": self.sound,
            "problem": self.problem,
            "created": self.manifest.get("created"),
            **{key: self.manifest.get(key) for key in LINEAGE},
        }


def list_adapters(root: str | Path) -> list[Entry]:
    """Every adapter below a folder, refused ones with the reason, by creation and name.

    Folders whose name begins with a dot are work under way, no adapters.

    Raises
    ------
    ModelError
        If there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise ModelError(
            f"no folder {root} to look for adapters in; name the one that `adapter train --out` or "
            "a campaign left them in"
        )
    entries = [_entry(folder) for folder in _folders(root)]
    return sorted(entries, key=lambda e: (e.manifest.get("created") or "~", e.name))


def verify_adapter(folder: str | Path) -> AdapterResult:
    """A finished, unaltered adapter under its own name.

    Raises
    ------
    ModelError
        As `training.manifest.read_adapter` does; and if the name, in the manifest or of the folder,
        is not the one that its content gives: servers know adapters by it.
    """
    found = read_adapter(folder)
    check_name(found.manifest, found.path.resolve())
    return found


def locate_adapter(name_or_folder: str | Path, root: str | Path) -> Path:
    """The folder itself or the one adapter in it, or that of an adapter below `root` by its name.

    Raises
    ------
    ModelError
        If there is none, or there are several of different places.
    """
    given = Path(name_or_folder)
    if given.is_dir():
        # A folder that training left its adapter in is as good as the adapter's own.
        inside = [] if (given / MANIFEST).is_file() else [p for p in _folders(given) if p != given]
        if len(inside) > 1:
            places = ", ".join(map(str, inside))
            raise ModelError(f"{given} holds {len(inside)} adapters: {places}; name one")
        return inside[0] if inside else given
    found = [p for p in _folders(Path(root)) if p.name == str(name_or_folder)]
    if not found:
        raise ModelError(
            f"no adapter {str(name_or_folder)!r}: neither a folder nor a name below {root}; "
            "`design-loop adapter list ROOT` shows what is there"
        )
    if len(found) > 1:
        places = ", ".join(map(str, found))
        raise ModelError(f"{len(found)} adapters are named {name_or_folder}: {places}; name one")
    return found[0]


def lineage(entry: Entry | AdapterResult, root: str | Path) -> list[dict[str, Any]]:
    """The adapter and those it goes on from, the newest first, as far as they lie below `root`.

    A parent that is gone or refused ends the chain, with the reason as its ``problem``.
    """
    known = {e.name: e for e in list_adapters(root)}
    chain, seen = [], set()
    name, manifest = entry.name, entry.manifest
    while True:
        seen.add(name)
        chain.append({"name": name, **{key: manifest.get(key) for key in LINEAGE}})
        name = manifest.get("parent")
        if name is None or name in seen:
            return chain
        parent = known.get(name)
        if parent is None or not parent.sound:
            reason = "not found" if parent is None else parent.problem
            return [*chain, {"name": name, "problem": reason}]
        manifest = parent.manifest


def _entry(folder: Path) -> Entry:
    try:
        return Entry(folder, folder.name, manifest=verify_adapter(folder).manifest)
    except ModelError as error:
        return Entry(folder, folder.name, str(error))


def _folders(root: Path) -> Iterator[Path]:
    """Folders that are or look like adapters: by the configuration, or by the form of the name."""
    for place, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        path = Path(place)
        if CONFIG in files or (MANIFEST in files and NAME.fullmatch(path.name)):
            folders[:] = []
            yield path
