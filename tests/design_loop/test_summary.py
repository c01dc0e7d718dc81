"""Summaries of a campaign against what its ledger holds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fake_campaign import FakeCampaign

from defects.errors import ConfigError
from defects.targets import Target, meets_all
from design_loop.ledger import Ledger, Source
from design_loop.summary import (
    campaign_targets,
    summarise_campaign,
    summarise_round,
    target_error,
)

GAP = Target(property="homo_lumo_gap", min=0.6, max=0.9)
COST = Target(property="formation_energy_per_site", max=0.45, weight=3)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def name(ledger, tmp_path):
    return FakeCampaign(ledger, tmp_path).run()


def test_ranking_puts_hits_first_then_the_nearest(ledger, name):
    summary = summarise_campaign(ledger, name)
    assert [c.rank for c in summary.candidates] == list(range(1, 16))
    order = [(not c.meets, c.error) for c in summary.candidates]
    assert order == sorted(order)
    assert summary.hits == sum(not missed for missed, _ in order) > 0


def test_candidates_are_those_that_the_oracle_labelled(ledger, name):
    summary = summarise_campaign(ledger, name)
    labels = {label.candidate: label for label in ledger.labels(name, Source.ORACLE)}
    assert {c.key for c in summary.candidates} == set(labels)
    for candidate in summary.candidates:
        assert candidate.properties == labels[candidate.key].properties
        assert candidate.adapter.startswith(f"r{candidate.round:03d}-")
        assert candidate.prediction is not None


def test_rounds_add_up_to_the_campaign(ledger, name):
    summary = summarise_campaign(ledger, name)
    rounds = summary.rounds
    assert [r.number for r in rounds] == [0, 1, 2, 3]
    assert sum(r.hits for r in rounds) == summary.hits
    assert sum(r.funnel.samples for r in rounds) == summary.funnel.samples == 120
    best = min(r.best_error for r in rounds if r.best_error is not None)
    assert best == summary.best_error
    assert summarise_round(ledger, name, 2) == rounds[2]
    assert set(rounds[1].seconds) == {"generate", "check", "predict", "select", "verify", "learn"}


def test_a_running_campaign_can_be_summarised(ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run(rounds=1)
    ledger.start_round(name, 2, adapter="r002-x", surrogate="s2")
    summary = summarise_campaign(ledger, name)
    assert [r.done for r in summary.rounds] == [True, True, False]
    assert summary.rounds[2].best_error is None


def test_a_label_without_the_property_is_infinitely_far():
    assert target_error([GAP, COST], {"homo_lumo_gap": 0.7}) == math.inf
    assert not meets_all([GAP, COST], {"homo_lumo_gap": 0.7})
    assert target_error([GAP, COST], {"homo_lumo_gap": 1.0, "formation_energy_per_site": 0.5}) == (
        # By half the range's width; what is open on one side counts in its own unit.
        pytest.approx((0.1 / 0.15 + 3 * 0.05) / (1 / 0.15 + 3))
    )


def test_campaigns_of_older_versions_are_shown_as_long_as_targets_are_known(ledger, name):
    campaign = ledger.campaign(name)
    older = replace(campaign, config={**campaign.config, "surrogate": {"kind": "gone"}})
    assert campaign_targets(older)[0].property == "homo_lumo_gap"
    unknown = replace(campaign, config={"targets": [{"property": "x", "shape": "round"}]})
    with pytest.raises(ConfigError, match="use the version that started it"):
        campaign_targets(unknown)
