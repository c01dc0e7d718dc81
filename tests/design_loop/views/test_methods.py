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
    assert "and anew the most promising of those that earlier rounds had not selected" in usual
    assert "verified by GFN1-xTB (tblite) on ideal structures" in usual
    assert "trained anew from the base" in usual
    staged = {
        "kind": "xtb",
        "settings": {"method": "GFN2-xTB", "relax": True},
        "then": [{"kind": "external", "budget": 4, "settings": {"method": "PBE"}}],
    }
    selection = {**summary.campaign.config["selection"], "strategy": "ehvi", "exploration": 0.2}
    selection["reconsider"] = False
    other = _words(summary, oracle=staged, selection=selection, learn={"start_from": "previous"})
    assert "predicted every new candidate, with a calibrated spread" in other
    assert "labelled by GFN2-xTB (tblite) on relaxed structures; the best of them, up to 4" in other
    assert "verified by PBE, imported" in other
    assert "by expected (hypervolume) improvement" in other
    assert "20 % of them where its spread is largest" in other
    assert "by surrogate error" not in other
    assert "trained on from the one before" in other
    frozen = _words(summary, proposer={"kind": "llm", "feedback": False})
    assert "was trained once, before the first round" in frozen


def test_methods_tell_adaptation_distillation_and_the_last_round_only_where_used(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        summary = summarise_campaign(ledger, FakeCampaign(ledger, tmp_path).id)
    config = summary.campaign.config
    usual = _words(summary)
    assert "after every round, and" in usual
    assert "side by side" not in usual
    assert "distillation" not in usual
    adapt = {**config["generation"]["adapt"], "enabled": True, "arms": 5}
    learn = {**config["learn"], "distil": 300, "last_round": False}
    used = _words(summary, generation={**config["generation"], "adapt": adapt}, learn=learn)
    assert "in every round 5 of them (temperature in 0.7 to 1.6, top_p in 0.8 to 1, " in used
    assert "up to 300 unlabelled configurations" in used
    assert "with a weight of 0.5." in used
    assert "after every round but the last, and" in used
    hybrid = {"proposer": {"kind": "hybrid"}, "learn": learn}
    refined = _words(summary, generation={**config["generation"], "adapt": adapt}, **hybrid)
    assert "side by side" in refined
    # A search has no model whose settings could adapt or that could be taught.
    search = {"proposer": {"kind": "random"}, "learn": learn}
    random = _words(summary, generation={**config["generation"], "adapt": adapt}, **search)
    assert "side by side" not in random
    assert "distillation" not in random
    assert "after every round but the last." in random
