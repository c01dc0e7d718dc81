"""Versions of installed packages."""

from __future__ import annotations

import numpy as np

from defects.versions import installed_versions


def test_installed_packages_only_and_in_order() -> None:
    found = installed_versions(("pydantic", "no-such-package", "numpy"))
    assert list(found) == ["pydantic", "numpy"]
    assert found["numpy"] == np.__version__
