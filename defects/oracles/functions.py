"""A user's own properties: functions of a calculator's results, named by import path.

A path is code that runs. It may come from a file that the user of this machine wrote, never from a
request over the network.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from defects.errors import OracleError

if TYPE_CHECKING:
    from ase import Atoms

ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]

Functions = Annotated[
    dict[str, ImportPath],
    Field(
        default_factory=dict,
        description="own properties: name -> package.module:function(atoms, results), which "
        "gives a number; results are the calculator's and all labels known by then",
    ),
]


class PropertyFunctionError(OracleError):
    """A user's function gave no number; another try would give none either."""


@lru_cache(maxsize=64)
def load_function(path: str) -> Callable[..., Any]:
    """What an import path ``package.module:name`` names.

    Raises
    ------
    OracleError
        When it cannot be imported or is nothing that can be called.
    """
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OracleError(
            f"{path} cannot be imported ({error}); install its package or put its folder into "
            "PYTHONPATH, and write package.module:name"
        ) from error
    if not callable(found):
        raise OracleError(f"{path} is a {type(found).__name__}, no function")
    return found


def fingerprint(path: str) -> str:
    """Hash of a function's source, so that a changed function means new labels."""
    function = load_function(path)
    try:
        content = inspect.getsource(function)
    except (OSError, TypeError):  # compiled: its package's version has to do
        top = importlib.import_module(path.partition(":")[0].partition(".")[0])
        content = f"{path} {getattr(top, '__version__', 'unknown')}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def fingerprints(functions: Mapping[str, str]) -> dict[str, list[str]]:
    """Own property -> import path and fingerprint: their part of a content key."""
    return {name: [path, fingerprint(path)] for name, path in functions.items()}


def evaluate(
    functions: Mapping[str, str], atoms: Atoms, results: Mapping[str, Any]
) -> dict[str, float]:
    """Values of a user's own properties.

    Parameters
    ----------
    functions : mapping
        Name -> import path of ``function(atoms, results) -> float``.
    atoms : ase.Atoms
        What was computed, its calculator attached where there is one.
    results : mapping
        The calculator's results and the labels.

    Raises
    ------
    PropertyFunctionError
        When a function raises an exception, or gives something else than a finite number.
    """
    found = {}
    for name, path in functions.items():
        function = load_function(path)
        try:
            value = float(function(atoms, dict(results)))
        except Exception as error:  # anybody's code: whatever it raises is its failure
            raise PropertyFunctionError(
                f"property {name}: {path} failed: {type(error).__name__}: {error}"
            ) from error
        if not math.isfinite(value):
            raise PropertyFunctionError(f"property {name}: {path} gave {value}, no finite number")
        found[name] = value
    return found
