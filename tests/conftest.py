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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, slow ones next, whole campaigns last: mistakes show early."""

    def order(item: pytest.Item) -> int:
        if item.get_closest_marker("e2e"):
            return 2
        return 1 if item.get_closest_marker("slow") else 0

    items.sort(key=order)  # stable: the order within each kind stays


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
