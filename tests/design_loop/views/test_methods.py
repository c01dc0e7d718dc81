"""The methods section says what the campaign's settings were, not what they mostly are."""

from __future__ import annotations

from dataclasses import replace

from fake_campaign import FakeCampaign

from design_loop.ledger import Ledger
from design_loop.summary import summarise_campaign
from design_loop.views.methods import methods


def _words(summary, **changed):
    config = {**summary.campaign.config, **changed}
    return str(methods(replace(summary, campaign=replace(summary.campaign, config=config))))


def test_methods_tell_the_order_the_stages_and_what_was_added(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path)
        campaign.run(1)
        ledger.extend(campaign.id, rounds=2)
        summary = summarise_campaign(ledger, campaign.id)
    usual = _words(summary)
    assert "in each of 5 rounds" in usual
    assert "by surrogate error" in usual
    assert "verified by GFN1-xTB (tblite) on ideal structures" in usual
    assert "trained anew from the base" in usual
    staged = {
        "kind": "xtb",
        "settings": {"method": "GFN2-xTB", "relax": True},
        "then": [{"kind": "external", "budget": 4, "settings": {"method": "PBE"}}],
    }
    selection = {**summary.campaign.config["selection"], "strategy": "ehvi", "exploration": 0.2}
    other = _words(summary, oracle=staged, selection=selection, learn={"start_from": "previous"})
    assert "labelled by GFN2-xTB (tblite) on relaxed structures; the best of them, up to 4" in other
    assert "verified by PBE, imported" in other
    assert "by expected (hypervolume) improvement" in other
    assert "20 % of them where its spread is largest" in other
    assert "by surrogate error" not in other
    assert "trained on from the one before" in other
    frozen = _words(summary, proposer={"kind": "llm", "feedback": False})
    assert "was trained once, before the first round" in frozen
