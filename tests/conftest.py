"""Order, private folders and fixtures of all tests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_PRIVATE: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Give this run a Ray, settings and caches of its own."""
    # pymatgen tells of every coordinate that it rounds, for every CIF file.
    config.addinivalue_line("filterwarnings", "ignore:Issues encountered while parsing CIF")
    # Short, because Ray keeps sockets below it and their paths may have 107 characters.
    folder = tempfile.mkdtemp(prefix="dl")
    _PRIVATE.append(folder)
    os.environ["RAY_TMPDIR"] = folder
    # A shell starts what it runs in the background deaf to Ctrl-C, and with it all that is tested.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["HF_HUB_OFFLINE"] = "1"  # tests never fetch
    for name in ("RAY_ADDRESS", "DESIGN_LOOP_WORKDIR", "DESIGN_LOOP_STORE", "DESIGN_LOOP_DEBUG"):
        os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what this run left."""
    while _PRIVATE:
        shutil.rmtree(_PRIVATE.pop(), ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fast tests first, slow ones next, whole campaigns last: mistakes show early."""
    kinds = ("fast", "slow", "e2e")

    def kind(item: pytest.Item) -> str:
        return next((k for k in kinds[:0:-1] if item.get_closest_marker(k)), "fast")

    items.sort(key=lambda item: kinds.index(kind(item)))  # stable: the order within a kind stays
    if config.getoption("loadgroup", False):  # a process of `pytest -n`
        for item in items:
            # Tests of a file share fixtures; its slow ones come after the fast ones of all files.
            item.add_marker(pytest.mark.xdist_group(f"{kind(item)}-{item.path.stem}"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with the published datasets beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: the published 2DMD data are not on this machine")
    return folder
