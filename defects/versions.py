"""Which versions of packages are installed, for manifests and ledgers; imports none of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, version
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
    installed = installed_versions(sorted(set(packages_distributions().get(module.__name__, ()))))
    return " ".join(installed.values()) or "unknown"
