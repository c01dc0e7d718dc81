"""A driver that dies at any commit resumes to the same end, labelling nothing twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from design_loop.ledger import CampaignState, Ledger

SCRIPT = Path(__file__).with_name("crash_driver.py")
LABELS = 4


def _final_state(path: Path) -> dict:
    with Ledger(path, create=False) as ledger:
        (campaign,) = ledger.campaigns()
        assert campaign.state is CampaignState.DONE
        return {
            "samples": [ledger.samples(campaign.id, number) for number in (1, 2)],
            "candidates": ledger.candidates(campaign.id),
            "labels": [(x.candidate, x.properties, x.round) for x in ledger.labels(campaign.id)],
            "adapters": ledger.adapters(campaign.id),
            "surrogates": ledger.surrogates(campaign.id),
            "steps": [(s.round, s.name, s.state) for s in ledger.steps(campaign.id)],
            "funnel": ledger.funnel(campaign.id),
        }


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_commit(tmp_path, when):
    run = subprocess.run([sys.executable, SCRIPT, tmp_path, when], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

    *torn, calm = sorted(tmp_path.glob("*.sqlite"), key=lambda path: int(path.stem))
    # Campaign, its beginning and end, lease taken and given back; of a round its start and finish,
    # every step's beginning and end, its labels.
    assert len(torn) == 5 + (2 + 2) + 2 * (2 + 2 * 6 + 2)
    expected = _final_state(calm)
    assert len(expected["labels"]) == LABELS
    double = 0
    for path in torn:
        assert _final_state(path) == expected, path.stem
        calls = Counter(Path(f"{path}.log").read_text().split())
        assert len(calls) == LABELS
        double += calls.total() - LABELS
    # A call is lost only while in flight: when its process dies before the label is committed.
    assert double == (LABELS if when == "before" else 0)
