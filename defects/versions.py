"""Which versions of packages are installed, for manifests and ledgers; imports none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return package -> version, in the order given, without those that are not installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def module_version(module: ModuleType) -> str:
    """Version of an imported top-level module: its own word, or that of what installed it."""
    told = getattr(module, "__version__", None)
    if told is not None:
        return str(told)
    installed = installed_versions(sorted(set(_distributions().get(module.__name__, ()))))
    return " ".join(installed.values()) or "unknown"


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Top-level module -> what installed it; a look at every installed package takes a second."""
    return packages_distributions()


def source_hash(packages: Iterable[str]) -> str:
    """Say which source code this is: a short SHA-256 of the ``.py`` files of some packages.

    A version number stays while the code changes from commit to commit.

    Parameters
    ----------
    packages : iterable of str
        Top-level packages; those that are not installed count for nothing.

    Returns
    -------
    str
        12 hexadecimal digits, the same wherever the packages lie.
    """
    digest = hashlib.sha256()
    for package in sorted(packages):
        spec = find_spec(package)
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            for path in sorted(folder.rglob("*.py")):
                content = path.read_bytes()
                name = f"{package}/{path.relative_to(folder).as_posix()}"
                digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]
