"""The first step of a round, where the proposer has nothing left."""

from __future__ import annotations

from types import SimpleNamespace

from fake_campaign import FakeCampaign

from design_loop.campaign.propose import generate
from design_loop.ledger import Ledger
from design_loop.progress import SilentProgress


class _Exhausted:
    def propose(self, context, number, run):
        return []


def test_a_round_without_proposals_is_a_warning_of_the_campaign(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path)
        campaign.run(1)
        ledger.start_round(campaign.id, 2)
        context = SimpleNamespace(
            proposer=_Exhausted(), config=campaign.config, progress=SilentProgress()
        )
        with ledger.step(campaign.id, 2, "generate") as run:
            generate(context, 2, run)
        [event] = [e for e in ledger.events(campaign.id) if e.level == "warning"]
        assert event.round == 2
        assert event.message.startswith("llm found nothing new to propose")
        assert ledger.steps(campaign.id, 2)[0].info["samples"] == 0
