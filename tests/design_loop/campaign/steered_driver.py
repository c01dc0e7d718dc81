"""A driver whose oracle takes its time, for tests that steer it from another process.

``python -m tests.design_loop.campaign.steered_driver FOLDER start|ID [seconds per label]``. Ledger,
driver, selection and verification are the real ones; the surrogate is fitted once and copied.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from design_loop.campaign import driver
from design_loop.config import CampaignConfig, load_campaign
from design_loop.progress import SilentProgress
from tests.design_loop.campaign.quick_services import QuickServices, write_campaign


class SlowServices(QuickServices):
    """Every label takes a while."""

    seconds = 0.0

    def label(self, oracle: Any, configurations: Any, on_result: Any, *rest: Any) -> Any:
        def slow(result: Any) -> None:
            time.sleep(self.seconds)
            on_result(result)

        return super().label(oracle, configurations, slow, *rest)


def write_steered(folder: Path, rounds: int = 1) -> Path:
    """A campaign of random proposals over 100 known labels, all of them in the oracle's table."""
    path = write_campaign(folder)
    text = path.read_text().replace("iterations: 10", "iterations: 1")
    text = text.replace("rounds: 2", f"rounds: {rounds}")
    path.write_text(text + "proposer: {kind: random}\n")
    return path


def services(config: CampaignConfig, folder: Path, tell: Any) -> SlowServices:
    """What the driver is started with."""
    return SlowServices(folder, config)


def drive(folder: Path, action: str, seconds: float = 0.0) -> Any:
    """Start the campaign of a folder, or resume one."""
    from training import surrogate

    fit = surrogate.fit_surrogate
    kept = folder / "surrogate"

    def fit_once(configurations: Any, values: Any, host: Any, out: Path, **options: Any) -> Any:
        if kept.exists():
            shutil.copytree(kept, out)
        else:
            fit(configurations, values, host, out, **options)
            shutil.copytree(out, kept)
        return json.loads((out / "manifest.json").read_text())

    surrogate.fit_surrogate = fit_once
    SlowServices.seconds = seconds
    try:
        runs = folder / "runs"
        store = str(runs / "ledger.sqlite")
        if action == "start":
            config = load_campaign(folder / "campaign.yaml")
            return driver.start(config, runs, store, SilentProgress(), services)
        return driver.resume(action, runs, store, SilentProgress(), services)
    finally:
        surrogate.fit_surrogate = fit


if __name__ == "__main__":
    drive(Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:]))
