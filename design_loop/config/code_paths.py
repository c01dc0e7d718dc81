"""What of a campaign's configuration is code that runs, or changes what runs.

A campaign file on this machine was written by its user and may name any of it. A configuration that
came over the network may not: whoever takes one in refuses it where this finds something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def code_paths(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Find import paths and process environments in a configuration.

    Parameters
    ----------
    config : mapping
        A campaign file's content as plain data, validated or not.

    Returns
    -------
    list of tuple
        (place in the file, what stands there).
    """
    found = list(_of_call(config.get("oracle"), "oracle"))
    oracle = config.get("oracle")
    stages = oracle.get("then") if isinstance(oracle, Mapping) else None
    for i, stage in enumerate(stages if isinstance(stages, (list, tuple)) else ()):
        found += _of_call(stage, f"oracle.then[{i}]")
    own = config.get("properties")
    for name, given in own.items() if isinstance(own, Mapping) else ():
        if isinstance(given, Mapping) and given.get("function"):
            found.append((f"properties.{name}.function", str(given["function"])))
    return found


def _of_call(call: Any, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(call, Mapping):
        return
    if call.get("kind") == "ase":
        yield f"{place}.kind", "ase"
    settings = call.get("settings")
    for name in ("calculator", "functions"):
        if isinstance(settings, Mapping) and settings.get(name):
            yield f"{place}.settings.{name}", str(settings[name])
    if call.get("environment"):
        yield f"{place}.environment", ", ".join(map(str, call["environment"]))
