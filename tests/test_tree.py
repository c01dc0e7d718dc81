"""The tree itself: what is tracked, locked and documented."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib

import pytest

MIB = 2**20
#: The checkpoint of the small base model is the one large file.
LARGEST = {".safetensors": 15 * MIB}


@pytest.fixture(scope="module")
def tracked(root):
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("no git checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    return [root / name for name in done.stdout.split("\0") if name and (root / name).is_file()]


def _texts(paths):
    for path in paths:
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_large_files(tracked):
    large = [p for p in tracked if p.stat().st_size > LARGEST.get(p.suffix, 2 * MIB)]
    assert not large


def test_nothing_generated_is_tracked(root, tracked):
    generated = {"__pycache__", ".venv", "runs", "out", ".ruff_cache"}
    assert not [p for p in tracked if generated & set(p.relative_to(root).parts)]


def test_no_addresses_of_machines_or_registries(tracked):
    """Paths of the machine it was written on, and hosts of package registries."""
    paths = "|".join(("work/main", "work/shared", "root/", "opt/wheels", "home/[a-z]+/"))
    hosts = "|".join(("pythonhosted", "pypi", r"download\.pytorch"))
    pattern = re.compile(rf"(?<![\w.~])/({paths})|\b({hosts})\.org\b")
    found = [
        f"{path.name}: {match.group()}"
        for path, text in _texts(tracked)
        if (match := pattern.search(text))
    ]
    assert not found


@pytest.mark.parametrize("name", ["cpu", "gpu", "uv"])
def test_locks_are_hashed_and_name_no_registry(root, name):
    text = (root / "requirements" / f"{name}.txt").read_text()
    pins = re.findall(r"(?m)^([a-z0-9][\w.-]*)==", text)
    assert pins
    blocks = re.split(r"(?m)^(?=[a-z0-9][\w.-]*==)", text)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert "index" not in text.replace("_index", "") and "://" not in text


def test_cpu_lock_holds_what_pyproject_asks_for(root):
    """A dependency added to pyproject.toml without `make lock` would be missing for everybody."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = list(project["dependencies"])
    asked = ["cpu", "dev", "postgres"]
    for name in asked:  # grows: extras name other extras of this project
        wanted += extras[name]
        for own in re.findall(r"design-loop\[([\w,]+)\]", " ".join(extras[name])):
            asked += [extra for extra in own.split(",") if extra not in asked]
    assert {"search", "symbolic", "xtb"} <= set(asked)
    names = {re.match(r"[\w.-]+", text).group().lower().replace("_", "-") for text in wanted}
    lock = (root / "requirements" / "cpu.txt").read_text()
    locked = set(re.findall(r"(?m)^([a-z0-9][\w.-]*)==", lock))
    # torch has a file of its own, see there; the project names itself for its extras.
    assert names - {"torch", "design-loop"} <= locked
    assert "torch" not in locked


def test_entry_points_can_be_run(root):
    for name in (
        ".ci/run",
        "scripts/install.sh",
        "scripts/with_postgres.sh",
        "scripts/with_chromium.sh",
    ):
        assert os.access(root / name, os.X_OK), name


def test_readme_names_what_is_there(root):
    """Files and make targets that the README mentions exist."""
    text = (root / "README.md").read_text()
    targets = set(re.findall(r"(?m)^([a-z-]+):", (root / "Makefile").read_text()))
    assert set(re.findall(r"`?make ([a-z-]+)", text)) <= targets
    linked = re.findall(r"\]\(([\w./-]+)\)", text)
    assert linked
    assert [name for name in linked if not (root / name).exists()] == []


def test_modules_stay_readable(root):
    """Not a limit to fill: a module this long holds more than one idea."""
    packages = ("defects", "training", "serve", "design_loop")
    files = [p for package in packages for p in (root / package).rglob("*.py")]
    long = {
        str(p.relative_to(root)): n for p in files if (n := len(p.read_text().split("\n"))) > 400
    }
    assert not long
