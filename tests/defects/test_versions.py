"""Versions of installed packages."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from defects.versions import installed_versions, module_version, source_hash


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


def test_source_is_known_by_its_content_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(where: str, text: str, file: str = "deep.py") -> str:
        folder = tmp_path / where / "some_code" / "inner"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("")
        (folder / file).write_text(text)
        (folder / "notes.txt").write_text(where)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path / where)
            return source_hash(["some_code", "no_such_package"])

    first = made("a", "x = 1")
    assert len(first) == 12
    assert made("b", "x = 1") == first
    assert made("c", "x = 2") != first
    assert made("d", "x = 1", "other.py") != first
