"""The base model that ships with the project, and base models by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from training.base_model import check_base

#: Name of the shipped base model in campaign files and on the command line.
SMALL = "small"


def small_base_path() -> Path:
    """Folder of the shipped base model."""
    return Path(str(resources.files("training"))) / "models" / SMALL


def resolve_base(name: str) -> str:
    """``small`` → the shipped folder; a folder or a Hugging Face name as it is.

    Raises
    ------
    ModelError
        When it looks like a folder and is none.
    """
    return check_base(small_base_path() if name == SMALL else name)
