"""Campaigns whose model keeps its first adapter, and whose answers are refined: as a whole."""

from __future__ import annotations

import pytest

from design_loop.campaign import driver
from design_loop.config import load_campaign
from design_loop.ledger import CampaignState, Ledger, Source
from design_loop.progress import SilentProgress
from design_loop.proposers.hybrid import REFINED
from tests.design_loop.campaign.quick_services import QuickServices, write_campaign

pytestmark = pytest.mark.slow


def _drive(folder, proposer):
    """Run a campaign with this proposer; returns what was fine-tuned, by round."""
    folder.mkdir(exist_ok=True)
    path = write_campaign(folder)
    path.write_text(path.read_text() + f"proposer: {proposer}\n")
    trained = []

    class Counting(QuickServices):
        def fine_tune(self, spec, resources, on_progress):
            trained.append(spec.facts["round"])
            return super().fine_tune(spec, resources, on_progress)

    store = str(folder / "runs" / "ledger.sqlite")
    driver.start(
        load_campaign(path), folder / "runs", store, SilentProgress(),
        lambda config, campaign, tell: Counting(campaign, config),
    )  # fmt: skip
    return trained


def _ledger(folder):
    return Ledger(folder / "runs" / "ledger.sqlite", create=False)


def test_without_feedback_one_adapter_proposes_in_all_rounds_and_only_the_surrogate_learns(
    tmp_path,
):
    assert _drive(tmp_path, "{kind: llm, feedback: false}") == [0]
    with _ledger(tmp_path) as ledger:
        [campaign] = ledger.campaigns()
        assert campaign.state is CampaignState.DONE
        [adapter] = ledger.adapters(campaign.id)
        rounds = {r.number: r.adapter for r in ledger.rounds(campaign.id)}
        assert (rounds[1], rounds[2]) == (adapter.name, adapter.name)
        for number in (1, 2):
            made = {s.sample.adapter for s in ledger.samples(campaign.id, number)}
            assert made == {adapter.name}
        assert adapter.manifest["n_verified"] == 0
        labels = [s.manifest["n_labels"] for s in ledger.surrogates(campaign.id)]
        verified = len(ledger.labels(campaign.id, Source.ORACLE))
        assert labels[0] == 100 < labels[-1] == 100 + verified


def test_a_hybrid_campaign_finds_new_candidates_and_the_same_ones_again(tmp_path):
    told = []
    for name in ("first", "second"):
        assert _drive(tmp_path / name, "{kind: hybrid, steps: 2, moves: 3}") == [0, 1, 2]
        with _ledger(tmp_path / name) as ledger:
            [campaign] = ledger.campaigns()
            assert campaign.state is CampaignState.DONE
            samples = [
                (found.sample.index, found.sample.text, found.sample.finish_reason, found.candidate)
                for number in (1, 2)
                for found in ledger.samples(campaign.id, number)
            ]
            labels = {
                label.candidate: dict(label.properties)
                for label in ledger.labels(campaign.id, Source.ORACLE)
            }
            found = {c.key for c in ledger.candidates(campaign.id)}
            refined = {key for _, _, reason, key in samples if reason == REFINED}
            assert refined & found, "no refined answer became a candidate"
            told.append((samples, labels, found))
    assert told[0] == told[1]
    assert told[0][1]
