"""The work folder: where a campaign leaves everything that it makes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from defects.errors import DesignLoopError


class WorkdirError(DesignLoopError):
    """The work folder cannot be used."""


def make_workdir(path: str | Path) -> Path:
    """Make the work folder if need be, and see that files can be made in it.

    Raises
    ------
    WorkdirError
        It is a file, or it cannot be made or written to (rights, a read-only disk).
    """
    folder = Path(path).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if folder.exists() and not folder.is_dir():
            reason = "it is a file"
        else:
            reason = error.strerror or str(error)
        raise WorkdirError(
            f"cannot use {folder} as the work folder: {reason}. "
            "Name one that you may write to with --workdir; nothing was started."
        ) from error
    return folder
