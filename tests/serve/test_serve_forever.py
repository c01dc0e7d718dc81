"""`run_forever`: serves the surrogate alone, prints the address, ends cleanly on SIGTERM."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from serve.client import ServeClient

pytestmark = pytest.mark.slow

CODE = """
import sys
from serve.app import run_forever
from serve.config import load_config
run_forever(load_config(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory):
    """A real one, fitted on made-up labels."""
    import numpy as np

    from defects.hosts import get_host
    from defects.rules import Rules
    from defects.sampling import random_configuration
    from training.surrogate import fit_surrogate

    rng = np.random.default_rng(0)
    host, rules = get_host("MoS2", (4, 4, 1)), Rules(defects=("V_S", "Se_S", "W_Mo"), max_defects=3)
    configurations = [random_configuration(host, rules, rng) for _ in range(60)]
    labels = [2.0 - 0.3 * c.n_defects + 0.01 * rng.normal() for c in configurations]
    folder = tmp_path_factory.mktemp("fit") / "surrogate"
    options = {"model": "trees", "iterations": 20, "threads": 1}
    manifest = fit_surrogate(configurations, {"homo": labels}, host, folder, **options)
    return folder, manifest["version"], configurations


def start(config: Path) -> subprocess.Popen:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_sigterm_ends_it_with_nothing_left(tmp_path, surrogate):
    folder, version, configurations = surrogate
    (tmp_path / "serve.yaml").write_text(f"surrogate: {folder}\nlog_dir: logs\n")
    process = start(tmp_path / "serve.yaml")
    try:
        line = process.stdout.readline()
        assert line.startswith("serving on http://127.0.0.1:"), process.stderr.read()
        assert "no API keys are asked for" in line
        with ServeClient(line.split()[2]) as client:
            health = client.health()
            assert (health["llm"], health["surrogate_version"]) == ("absent", version)
            result = client.predict(configurations[:5])
            assert result.version == version
            assert all(0.5 < row["homo"] < 2.5 for row in result.mean)
            assert client.models() == []
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []
        assert process.stderr.read() == ""
    finally:
        if process.poll() is None:
            process.kill()


def test_a_damaged_surrogate_is_named_and_nothing_is_left_running(tmp_path, surrogate):
    folder = tmp_path / "damaged"
    shutil.copytree(surrogate[0], folder)
    model = next(p for p in sorted(folder.rglob("*")) if p.is_file() and p.parent != folder)
    model.write_bytes(model.read_bytes()[:-10])
    (tmp_path / "serve.yaml").write_text("surrogate: damaged\n")
    process = start(tmp_path / "serve.yaml")
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "ModelError" in errors.splitlines()[-1]
    assert "damaged" in errors.splitlines()[-1]
