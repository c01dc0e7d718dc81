"""How long the dashboard's pages take on a large ledger, with and without what is kept.

    python benchmarks/dashboard_pages.py --rounds 50 --samples 2000 --budget 40
    python benchmarks/dashboard_pages.py --store runs/ledger.sqlite

Without --store a made-up campaign of that size is played first (real ledger, made-up numbers).
Times are CPU seconds of this process, in which pages are made: the first, then the same again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from fastapi.testclient import TestClient

from design_loop.config import load_preset
from design_loop.dashboard.alone import build_alone
from design_loop.dashboard.store import Store
from design_loop.ledger import Ledger

PAGES = (
    "",
    "/live",
    "/candidates",
    "/candidates?which=predicted",
    "/candidates?which=predicted&page=500",
    "/samples",
    "/samples?reason=malformed&page=100",
    "/agreement",
    "/models",
    "/settings",
    "/log",
    "/report.html",
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", help="an existing ledger")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--samples", type=int, default=2000, help="per round")
    parser.add_argument("--budget", type=int, default=40, help="oracle calls per round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.store or str(play(Path(folder), options)))


def play(folder: Path, options: argparse.Namespace) -> Path:
    """Play a campaign of the size asked for; returns its ledger."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from fake_campaign import FakeCampaign

    config = load_preset("quickstart", check=False)
    changes = {
        "rounds": options.rounds,
        "generation": config.generation.model_copy(update={"samples": options.samples}),
        "selection": config.selection.model_copy(update={"budget": options.budget}),
    }
    sizes = {"samples": options.samples, "budget": options.budget}
    with Ledger(folder / "ledger.sqlite") as ledger:
        FakeCampaign(ledger, folder, config=config.model_copy(update=changes), **sizes).run()
    return folder / "ledger.sqlite"


def measure(target: str) -> None:
    """Ask for every page twice."""
    store = Store(target, frank=True)
    ledger = store.reader()
    name = ledger.campaigns()[0].id
    funnel = ledger.funnel(name)
    print(
        f"{funnel.samples:,} samples, {funnel.predicted:,} candidates, {funnel.verified:,} labels"
    )
    client = TestClient(build_alone(store), base_url="http://127.0.0.1")
    client.get("/dashboard/campaigns/" + name + "/agreement")  # imports
    store._pieces.clear()
    print(f"{'page':44}{'first (s)':>10}{'again (s)':>10}{'kB':>8}")
    for page in ("list", *PAGES):
        address = "/dashboard/" if page == "list" else f"/dashboard/campaigns/{name}{page}"
        taken = []
        for _ in range(2):
            begin = time.process_time()
            answer = client.get(address)
            taken.append(time.process_time() - begin)
            assert answer.status_code == 200, (address, answer.status_code)
        size = len(answer.content) / 1000
        print(f"{page or 'overview':44}{taken[0]:10.3f}{taken[1]:10.3f}{size:8.0f}", flush=True)
    store.close()


if __name__ == "__main__":
    main()
