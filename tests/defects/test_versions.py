"""Versions of installed packages."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from types import ModuleType

import numpy as np

from defects.versions import installed_versions, module_version


def test_installed_packages_only_and_in_order() -> None:
    found = installed_versions(("pydantic", "no-such-package", "numpy"))
    assert list(found) == ["pydantic", "numpy"]
    assert found["numpy"] == np.__version__


def test_a_module_tells_its_version_or_the_package_that_installed_it_does() -> None:
    told = ModuleType("something")
    told.__version__ = "3.1"
    assert module_version(told) == "3.1"
    assert module_version(importlib.import_module("tblite")) == version("tblite")
    assert module_version(ModuleType("nowhere_installed")) == "unknown"
