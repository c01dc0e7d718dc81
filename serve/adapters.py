"""Finished adapters in local or shared folders and in buckets, found by a checked name.

A client names an adapter, never a path. A name fits a strict pattern, is looked up directly below
the configured roots, and counts only when the folder is finished: `training` writes
`manifest.json` last, so a folder without one is still being written. What it says is believed only
where it passes the checks of `design-loop adapter verify`, and its files are read before they are
used.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from defects.adapter_folders import CONFIG, KEYS, WEIGHTS, check_manifest, read_whole
from defects.errors import ModelError
from defects.folders import MANIFEST
from defects.properties import Property, properties_from
from serve.buckets import MAX_MANIFEST_BYTES, AdapterDamagedError, Bucket, is_address, told

logger = logging.getLogger(__name__)

ADAPTER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_HASH = re.compile(r"[0-9a-f]{64}")
KEYS_KEPT = 64
"""Adapters whose keys are kept in memory."""


class AdapterNameError(ModelError):
    """A name that no adapter may have (HTTP 422)."""


class AdapterNotFoundError(ModelError):
    """A well-formed name without a finished adapter under the roots (HTTP 404)."""


class WrongBaseError(ModelError):
    """An adapter of another base model than the one that is served (HTTP 409)."""


@dataclass(frozen=True)
class Adapter:
    """One finished adapter.

    Attributes
    ----------
    name : str
        Folder name, e.g. ``r001-0123456789ab``.
    path : Path or None
        Resolved folder with `adapter_config.json` and `adapter_model.safetensors`; None for one in
        a bucket, see `AdapterStore.folder`.
    manifest : dict
        What training recorded: base model and its hash, data hash, hyperparameters, metrics;
        sealed, and of this name.
    bucket : Bucket or None
        Where it lies, if not in a folder.
    """

    name: str
    path: Path | None
    manifest: dict[str, Any] = field(default_factory=dict)
    bucket: Bucket | None = None


def check_adapter_name(name: str) -> str:
    """Return `name` if it is well formed.

    Raises
    ------
    AdapterNameError
        Anything but lower-case letters, digits, ``.``, ``_``, ``-``, starting with a letter or
        digit, at most 128 characters.
    """
    if not ADAPTER_NAME.fullmatch(name):
        raise AdapterNameError(
            f"adapter name {name[:80]!r} is not allowed: use 1 to 128 lower-case letters, digits, "
            "'.', '_' or '-', beginning with a letter or digit"
        )
    return name


def split_model_id(model: str, base_id: str) -> str | None:
    """Adapter name in a served model id, None for the base model itself.

    Parameters
    ----------
    model : str
        ``base_id`` or ``base_id:adapter-name``.
    base_id : str
        The served base model's id.

    Raises
    ------
    AdapterNotFoundError
        The id names another base model.
    AdapterNameError
        The part after the colon is not an adapter name.
    """
    base, colon, name = model.partition(":")
    if base != base_id:
        raise AdapterNotFoundError(
            f"model {model[:80]!r} is not served here; the base model is {base_id!r}, "
            f"an adapter is {base_id + ':<name>'!r}"
        )
    return check_adapter_name(name) if colon else None


class AdapterStore:
    """Looks adapters up below a list of roots; new folders appear at once.

    Parameters
    ----------
    roots : iterable of Path or str
        Folders, or addresses of buckets, whose direct subfolders are adapters; earlier roots win.
        A root that does not exist (yet) is an empty one.
    cache : Path, optional
        Where adapters from buckets are kept.
    """

    def __init__(self, roots: Iterable[Path | str], cache: Path | None = None) -> None:
        self.roots = tuple(
            Bucket(str(root), cache) if is_address(root) else Path(root) for root in roots
        )
        self._keys: dict[str, frozenset[str]] = {}
        self._told: set[str] = set()

    def get(self, name: str) -> Adapter:
        """Finished adapter of that name.

        Raises
        ------
        AdapterNameError
            The name is not well formed.
        AdapterNotFoundError
            No root holds a finished folder of that name.
        AdapterDamagedError
            Its manifest was altered, is no adapter's or another one's; its files are not read yet.
        ModelError
            A bucket cannot be read.
        """
        check_adapter_name(name)
        for root in self.roots:
            adapter = _read(root, name)
            if adapter is not None:
                return adapter
        raise AdapterNotFoundError(f"no finished adapter {name!r}; see /v1/models for those served")

    def folder(self, adapter: Adapter) -> Path:
        """The adapter's folder on this machine, all its files read and compared with the manifest.

        Raises
        ------
        AdapterDamagedError
            Manifest or files were altered since the training, or a file is missing.
        ModelError
            A bucket cannot be read.
        """
        if adapter.bucket is not None:
            return adapter.bucket.fetch(adapter.name, adapter.manifest)
        folder = adapter.path or Path()
        with told(adapter.name, folder):
            for file in read_whole(folder)["files"]:
                if not _plain_file(folder / file, folder):
                    raise ModelError(f"{file} is no plain file; copy the whole folder again")
        return folder

    def training_keys(self, adapter: Adapter) -> frozenset[str]:
        """Keys of the configurations that an adapter was trained on; empty where it does not say.

        Raises
        ------
        AdapterDamagedError
            See `folder`.
        """
        if adapter.name not in self._keys:
            found: frozenset[str] = frozenset()
            if KEYS in adapter.manifest["files"]:
                file = self.folder(adapter) / KEYS
                found = frozenset(file.read_text(encoding="ascii").split())
            if len(self._keys) >= KEYS_KEPT:
                self._keys.pop(next(iter(self._keys)))
            self._keys[adapter.name] = found
        return self._keys[adapter.name]

    def own_properties(self, adapter: Adapter) -> dict[str, Property]:
        """A user's own properties that an adapter was trained to be asked for.

        Raises
        ------
        AdapterDamagedError
            The manifest does not say them in the form that training writes.
        """
        try:
            return properties_from(adapter.manifest.get("own_properties"))
        except (AttributeError, TypeError, ValueError) as error:
            raise AdapterDamagedError(
                f"adapter {adapter.name}: own_properties of its manifest cannot be read"
            ) from error

    def __iter__(self) -> Iterator[Adapter]:
        seen: set[str] = set()
        for root in self.roots:
            for name in _names(root):
                if name in seen or not ADAPTER_NAME.fullmatch(name):
                    continue
                try:
                    adapter = _read(root, name)
                except ModelError as error:
                    # Its name is taken all the same; what its manifest says is not passed on.
                    seen.add(name)
                    self._tell(str(error.__cause__ or error))
                    continue
                if adapter is not None:
                    seen.add(name)
                    yield adapter

    def _tell(self, problem: str) -> None:
        """Into the log, once: clients ask for the list again and again."""
        if problem not in self._told:
            self._told.add(problem)
            logger.error("%s", problem)


def check_base(adapter: Adapter, served: str | None) -> None:
    """Refuse an adapter that was trained on another base model than the one that is served.

    Parameters
    ----------
    adapter : Adapter
    served : str or None
        `defects.adapter_folders.base_folder_hash` of the served base model, None where it is not
        known. A base model that was trained on by its name on the hub has no such hash either.

    Raises
    ------
    WrongBaseError
    """
    trained = str(adapter.manifest.get("base_hash"))
    if served is not None and _HASH.fullmatch(trained) and trained != served:
        raise WrongBaseError(
            f"adapter {adapter.name} was trained on another base model ({trained[:12]}) than the "
            f"one that is served ({served[:12]}): serve that one, or train the adapter again"
        )


def _names(root: Path | Bucket) -> list[str]:
    try:
        if isinstance(root, Bucket):
            return root.names()
        return sorted(entry.name for entry in root.iterdir())
    except OSError:
        return []  # the root appears with the first adapter
    except ModelError as error:
        # The adapters of other roots can be listed all the same.
        logger.error("%s", error)
        return []


def _read(root: Path | Bucket, name: str) -> Adapter | None:
    """The adapter `name` directly below `root`, or None where it is missing or unfinished.

    Raises
    ------
    AdapterDamagedError
        Its manifest is not one that training sealed for this name.
    ModelError
        A bucket cannot be read.
    """
    if isinstance(root, Bucket):
        found = root.manifest(name)
        return None if found is None else Adapter(name, None, found, root)
    folder = root / name
    try:
        resolved_root, resolved = root.resolve(strict=True), folder.resolve(strict=True)
    except OSError:
        return None
    # A link that leads out of the root is not ours to serve.
    if resolved.parent != resolved_root or not resolved.is_dir():
        return None
    if any(not _plain_file(resolved / file, resolved) for file in (WEIGHTS, CONFIG, MANIFEST)):
        return None
    manifest = resolved / MANIFEST
    try:
        if manifest.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    place = resolved_root / name  # a link to a neighbour is another name for it
    with told(name, place):
        return Adapter(name, resolved, check_manifest(content, place))


def _plain_file(path: Path, folder: Path) -> bool:
    try:
        return path.is_file() and path.resolve(strict=True).parent == folder
    except OSError:
        return False
