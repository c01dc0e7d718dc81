"""What others wrote and pages carry is what it says it is."""

from __future__ import annotations

import hashlib
import tomllib
from importlib import resources


def test_vendored_files_are_unchanged():
    folder = resources.files("design_loop.views").joinpath("vendor")
    entries = tomllib.loads(folder.joinpath("vendored.toml").read_text(encoding="utf-8"))
    listed = set()
    for entry in entries.values():
        content = folder.joinpath(entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert entry["version"]
        licence = entry["licence"].rpartition("see ")[2]
        assert folder.joinpath(licence).is_file()
        listed |= {entry["file"], licence}
    assert {f.name for f in folder.iterdir()} == listed | {"vendored.toml"}
