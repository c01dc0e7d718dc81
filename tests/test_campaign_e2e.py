"""A whole campaign with everything real: vLLM, Ray Serve, Ray Train, CatBoost, GFN1-xTB.

The driver is killed with -9 in the middle of the oracle's step and the campaign resumed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from design_loop.ledger import CampaignState, Ledger, LedgerError, Source

CAMPAIGN = """\
name: e2e
seed: 11
host: {name: MoS2, supercell: 4x4}
rules: {defects: [V_Mo, V_S, W_Mo, Se_S], max_defects: 4}
targets:
  - {property: homo_lumo_gap, min: 0.60, max: 0.90}
  - {property: formation_energy_per_site, max: 0.60}
rounds: 1
dataset: xtb-mos2-4x4
generation: {samples: 64, per_prompt: 4}
adapter: {learning_rate: 2.0e-3, epochs: 100, max_seconds: 20}
surrogate: {kind: trees, iterations: 100, folds: 4}
selection: {budget: 4}
oracle: {kind: xtb, timeout_s: 300}
resources: {oracle_parallel: 1}
serving: {engine: {max_model_len: 1024, kv_cache_gib: 0.5}}
"""


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "design_loop.cli", *arguments]


def _labels(store: Path) -> dict[str, tuple]:
    with Ledger(store, create=False) as ledger:
        [campaign] = ledger.campaigns()
        return {
            label.candidate: (label.time, tuple(sorted(label.properties.items())))
            for label in ledger.labels(campaign.id, Source.ORACLE)
        }


@pytest.mark.e2e
@pytest.mark.timeout(1500)
def test_a_campaign_survives_the_death_of_its_driver(tmp_path):
    file, runs = tmp_path / "campaign.yaml", tmp_path / "runs"
    file.write_text(CAMPAIGN)
    store = runs / "ledger.sqlite"
    log = (tmp_path / "log.txt").open("w")
    process = subprocess.Popen(
        _command("campaign", "run", str(file), "--workdir", str(runs)),
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ,
        start_new_session=True,
    )
    before: dict[str, tuple] = {}
    deadline = time.monotonic() + 900
    while not before and time.monotonic() < deadline:
        time.sleep(0.5)
        assert process.poll() is None, (tmp_path / "log.txt").read_text()[-3000:]
        if store.exists():
            before = _labels(store) if _has_campaign(store) else {}
    assert 0 < len(before) < 4, "the driver was to be killed between two labels"
    process.send_signal(signal.SIGKILL)
    process.wait()

    done = subprocess.run(
        _command("campaign", "resume", "e2e", "--workdir", str(runs)),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    after = _labels(store)
    assert len(before) < len(after) <= 4, "no call beyond the budget"
    for key, label in before.items():
        assert after[key] == label, "a label that was there is the same row, not computed again"

    with Ledger(store, create=False) as ledger:
        [campaign] = ledger.campaigns()
        assert campaign.state is CampaignState.DONE
        adapters = [a.name for a in ledger.adapters(campaign.id)]
        samples = ledger.samples(campaign.id, 1)
    assert len(samples) == 64
    assert {s.sample.adapter for s in samples} == {adapters[0]}
    assert len(set(adapters)) == 2 and adapters[1].startswith("r002-")
    folder = runs / campaign.id
    assert (folder / "report.html").stat().st_size > 5_000
    assert list(folder.rglob("*.cif"))

    shown = subprocess.run(
        _command("campaign", "show", "e2e", "--workdir", str(runs), "--format", "json"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shown.stdout)["state"] == "done"


def _has_campaign(store: Path) -> bool:
    # The file is there a moment before its tables.
    with suppress(LedgerError), Ledger(store, create=False) as ledger:
        return bool(ledger.campaigns())
    return False
