"""A training worker and the language model killed within a campaign, which goes on by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from design_loop.ledger import CampaignState, Ledger


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a minute and a half of one core that nobody else uses
def test_a_campaign_outlives_the_worker_that_trains_and_the_model_that_answers(root, tmp_path):
    command = [sys.executable, root / "benchmarks" / "chaos_cluster.py", "--no-comparison"]
    options = ["--kinds", "train-worker+llm-replica=2", "--rounds", "1", "--call-s", "0.1"]
    done = subprocess.run(
        [*command, *options, "--seed", "1", "--format", "json", "--keep", tmp_path / "c"],
        capture_output=True,
        text=True,
        timeout=1780,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["kills"], row["campaigns"]) == (2, 1), "a worker, then a replica"
    for harm in ("lost or changed", "twice in the ledger", "computed again though kept"):
        assert row[harm] == 0, harm
    assert row["in flight, redone"] == row["drivers that hung"] == row["processes left over"] == 0
    assert row["drivers that ended with an error"] == {}
    [folder] = Path(tmp_path / "c").glob("train-worker*")
    killed = [line.split()[-1] for line in (folder / "kills.log").read_text().splitlines()]
    assert ["Train" in killed[0], "llm" in killed[1]] == [True, True]
    with Ledger(folder / "runs" / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
        assert campaign.state is CampaignState.DONE
        [adapter] = ledger.adapters(campaign.id)
        samples = ledger.samples(campaign.id, 1)
        labels = ledger.labels(campaign.id)
    assert {s.sample.adapter for s in samples} == {adapter.name}
    assert len(samples) >= 24
    assert row["labels"] == len(labels) > 0
