"""What can be found wrong before minutes are spent on starting an engine."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from defects.errors import ModelError
from serve.config import ServeConfig

_EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Exit)\b.*:")


def check_base_model(config: ServeConfig) -> None:
    """Refuse a base model folder that is missing or incomplete.

    Raises
    ------
    ModelError
    """
    if not config.base_is_local:
        return  # a name on the hub
    folder = Path(config.base_model or "").expanduser()
    if not folder.is_dir():
        raise ModelError(f"base model folder {folder} does not exist")
    missing = [name for name in ("config.json",) if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        missing.append("*.safetensors")
    if not any(folder.glob("tokenizer*")):
        missing.append("tokenizer.json")
    if missing:
        raise ModelError(
            f"base model folder {folder} is incomplete: it has no {', '.join(missing)}"
        )


def check_vllm() -> None:
    """Refuse to serve a language model where vLLM is not installed (it is not imported here).

    Raises
    ------
    ModelError
    """
    missing = [name for name in ("vllm", "ray") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"{' and '.join(missing)} not installed: install design-loop[cpu] on a machine without "
            "a GPU, design-loop[gpu] on one with"
        )


def check_surrogate(folder: str | Path) -> Path:
    """Resolved folder of a finished surrogate.

    Raises
    ------
    ModelError
        The folder is missing, or has no manifest.json (which is written last).
    """
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise ModelError(f"surrogate folder {path} does not exist")
    if not (path / "manifest.json").is_file():
        raise ModelError(f"surrogate folder {path} is not finished: it has no manifest.json")
    return path


def failure_reason(text: str, limit: int = 400) -> str:
    """The last exception that a Ray Serve failure text names, with what it says, cut to `limit`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if _EXCEPTION.match(line)]
    if not starts:
        return (lines or ["unknown reason"])[-1][:limit]
    return " ".join(lines[starts[-1] : starts[-1] + 3])[:limit]
