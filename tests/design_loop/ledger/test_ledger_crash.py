"""A driver that dies at any commit resumes to the same end, labelling nothing twice."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest
from postgres_schemas import POSTGRES, address_in, drop_schema

from design_loop.ledger import CampaignState, Ledger

SCRIPT = Path(__file__).with_name("crash_driver.py")
LABELS = 4


def _final_state(target: str) -> dict:
    with Ledger(target, create=False) as ledger:
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


@pytest.fixture(params=["sqlite", POSTGRES])
def places(request, tmp_path):
    """What the driver is told besides the folder, and the ledger's address of each death."""
    if request.param == "sqlite":
        yield [], lambda death: f"{tmp_path}/{death}.sqlite"
        return
    prefix = f"crash_{uuid.uuid4().hex[:8]}"
    yield [prefix], lambda death: address_in(f"{prefix}_{death}")
    for log in tmp_path.glob("*.log"):
        drop_schema(f"{prefix}_{log.stem}")


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_commit(tmp_path, places, when):
    names, address = places
    run = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, when, *names], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr

    *torn, calm = sorted(tmp_path.glob("*.log"), key=lambda path: int(path.stem))
    # Campaign, its beginning and end, lease taken and given back; of a round its start and finish,
    # every step's beginning and end, its labels.
    assert len(torn) == 5 + (2 + 2) + 2 * (2 + 2 * 6 + 2)
    expected = _final_state(address(calm.stem))
    assert len(expected["labels"]) == LABELS
    double = 0
    for log in torn:
        assert _final_state(address(log.stem)) == expected, log.stem
        calls = Counter(log.read_text().split())
        assert len(calls) == LABELS
        double += calls.total() - LABELS
    # A call is lost only while in flight: when its process dies before the label is committed.
    assert double == (LABELS if when == "before" else 0)
