"""`design-loop serve` in a process of its own, as the load and start-up benchmarks need it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil
import yaml

from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from serve.keys import KeyFile
from training.bundled import resolve_base

DEFECTS = ("V_Mo", "V_S", "W_Mo", "Se_S")
TARGETS = ["homo_lumo_gap=0.6..0.9", "formation_energy_per_site<=0.45"]


def made_up_surrogate(folder: Path) -> Path:
    """A surrogate of two properties, fitted to numbers that follow the number of defects."""
    import numpy as np

    from training.surrogate import fit_surrogate

    rng = np.random.default_rng(0)
    host, rules = get_host("MoS2", (4, 4, 1)), Rules(defects=DEFECTS, max_defects=6)
    configurations = [random_configuration(host, rules, rng) for _ in range(120)]
    sizes = np.array([c.n_defects for c in configurations])
    labels = {
        "homo_lumo_gap": 1.6 - 0.15 * sizes + rng.normal(0, 0.02, len(sizes)),
        "formation_energy_per_site": 0.1 + 0.08 * sizes + rng.normal(0, 0.02, len(sizes)),
    }
    fit_surrogate(configurations, labels, host, folder, model="trees", iterations=20, threads=1)
    return folder


class Served:
    """A running server with API keys, ended with the block.

    Parameters
    ----------
    folder : Path
        Gets configuration, keys, surrogate and logs.
    settings : dict
        Of `serve.config.ServeConfig`, beyond base model, surrogate and keys.
    per_minute : int
        Requests of the second key, which soon gets a 429; the first may ask as often as it likes.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any] | None = None, *, per_minute: int = 20
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        surrogate = folder / "surrogate"
        if not surrogate.exists():
            made_up_surrogate(surrogate)
        keys = KeyFile(folder / "keys.json")
        self.keys = [
            keys.create(f"key {rate}", ("read", "design"), rate)[0]
            for rate in (1_000_000, per_minute)
        ]
        config = {
            "base_model": resolve_base("small"),
            "surrogate": str(surrogate),
            "keys": str(folder / "keys.json"),
            "log_dir": str(folder / "logs"),
            **(settings or {}),
        }
        file = folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config))
        self._errors = (folder / "stderr.txt").open("w+")
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "design_loop.cli", "serve", "--config", str(file)],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ},
        )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line.startswith("serving on "):
            self._errors.seek(0)
            raise RuntimeError(f"the server did not start: {self._errors.read()[-2000:]}")
        self.up_s = time.monotonic() - self.began
        self.url = line.split()[2]

    def family(self) -> list[psutil.Process]:
        """The server and all that it has started."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def processes(self, part: str) -> list[psutil.Process]:
        """Those whose title or command line holds `part`, and the engine cores for "engine"."""
        if part == "engine":
            servers = [p for p in self.family() if "forkserver" in _line(p)]
            return [p for p in servers if "forkserver" in _line(p.parent())]
        return [p for p in self.family() if part in _line(p)]

    def design(self, client: httpx.Client | None = None, **changes: Any) -> httpx.Response:
        """One small design."""
        send = httpx.post if client is None else client.post
        return send(
            self.url + "/v1/design",
            json=design_body(**changes),
            headers={"Authorization": f"Bearer {self.keys[0]}"},
            timeout=600,
        )

    def close(self) -> None:
        """SIGTERM, and its end."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._errors.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Memory:
    """Resident memory of all of a server's processes, sampled in a thread.

    Attributes
    ----------
    samples : list of (seconds, bytes)
    """

    def __init__(self, served: Served, every_s: float = 1.0) -> None:
        self.samples: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(served, every_s), daemon=True)
        self._thread.start()

    def _watch(self, served: Served, every_s: float) -> None:
        began = time.monotonic()
        while not self._stop.wait(every_s):
            total = 0
            for process in served.family():
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.samples.append((time.monotonic() - began, total))

    def stop(self) -> list[tuple[float, int]]:
        """End the sampling and return what was seen."""
        self._stop.set()
        self._thread.join()
        return self.samples


def design_body(**changes: Any) -> dict[str, Any]:
    """A design request for five candidates."""
    return {
        "model": "base",
        "host": "MoS2",
        "supercell": [4, 4, 1],
        "rules": {"defects": list(DEFECTS), "max_defects": 6},
        "targets": TARGETS,
        "count": 5,
        **changes,
    }


def _line(process: psutil.Process | None) -> str:
    try:
        return " ".join(process.cmdline()) or process.name() if process else ""
    except psutil.Error:
        return ""
