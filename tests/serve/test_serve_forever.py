"""`design-loop serve`: surrogate and pages, its address, a clean end on SIGTERM."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path

import httpx
import psutil
import pytest
from fake_campaign import FakeCampaign

from design_loop.ledger import Ledger
from serve.client import ServeClient

pytestmark = pytest.mark.slow
#: What is said while it starts begins with these words; nothing else is.
STAGES = {"starting", "loading", "waiting"}


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
        [sys.executable, "-m", "design_loop.cli", "serve", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def read_pages(url: str, campaign: str) -> None:
    """Everything that the dashboard's pages lead to is there, under the server's own address."""
    pattern = re.compile(r'(?:href|src|data-live|data-refresh)="(/dashboard[^"#]*)')
    with httpx.Client(base_url=url, trust_env=False, timeout=60, follow_redirects=True) as client:
        home = client.get("/dashboard")
        assert str(home.url) == f"{url}/dashboard/"
        front = f"/dashboard/campaigns/{campaign}"
        assert front in home.text
        todo = {"/dashboard/", *(unescape(a) for a in pattern.findall(home.text))}
        seen: dict[str, httpx.Response] = {}
        while todo - seen.keys():
            path = min(todo - seen.keys())
            answer = seen[path] = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            found = {unescape(a) for a in pattern.findall(answer.text)}
            # Of each page's candidates one is enough, of lists the first page.
            several = {a for a in found if "/candidates/" in a or "?" in a}
            todo |= (found - several) | set(sorted(several)[:1])
    kinds = {answer.headers["content-type"].partition(";")[0] for answer in seen.values()}
    assert kinds > {"text/html", "text/css", "text/javascript", "image/svg+xml", "chemical/x-cif"}
    assert {f"{front}/{part}" for part in ("live", "candidates", "report.html")} < seen.keys()


def test_it_answers_and_sigterm_ends_it_with_nothing_left(tmp_path, surrogate):
    folder, version, configurations = surrogate
    with Ledger(tmp_path / "runs" / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path / "runs").run()
    (tmp_path / "serve.yaml").write_text(
        f"surrogate: {folder}\nlog_dir: logs\ncampaigns: {{workdir: runs}}\n"
    )
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
        read_pages(line.split()[2], campaign)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        _, alive = psutil.wait_procs(family, timeout=60)
        assert alive == []
        told = process.stderr.read().splitlines()
        assert {each.partition(" ")[0] for each in told} <= STAGES, told
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
