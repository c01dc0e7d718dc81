"""Surrogate folders: where they are made, and what their manifest is; see `defects.folders`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from defects import folders
from defects.errors import ModelError
from defects.folders import FolderKind

#: Layout 2: the files of a model's kind lie in a folder of their own. The seal is the surrogate's
#: version, which predictions are recorded under.
SURROGATE = FolderKind("surrogate", "format", 2, "version", 16, "design-loop surrogate train")


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
    try:
        with folders.unfinished_folder(out.parent, f".{out.name}.") as work:
            yield work
    except OSError as error:
        raise ModelError(
            f"the surrogate could not be written to {out}: {error.strerror or error}; nothing is "
            "left behind, try again when this is mended"
        ) from error


def finish_folder(work: Path, out_dir: str | Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest with hashes and version, and move the folder into place.

    Returns
    -------
    dict
        The manifest as written.
    """
    full = SURROGATE.finish(work, manifest)
    work.replace(out_dir)
    return full


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a finished, unaltered surrogate folder; see `FolderKind.read`."""
    return SURROGATE.read(folder)
