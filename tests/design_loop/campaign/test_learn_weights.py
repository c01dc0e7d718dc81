"""How much a sample counts: verified over unverified, near the targets over far."""

from __future__ import annotations

import pytest

from design_loop.campaign.learn import sample_weight
from design_loop.config.loading import load_preset
from design_loop.ledger import Source


@pytest.fixture(scope="module")
def config():
    config = load_preset("quickstart", check=False)  # gap 0.6..0.9, formation energy <= 0.45
    return config.model_copy(update={"learn": config.learn.model_copy(update={"near_weight": 3})})


def _row(gap, energy=0.4):
    return {"homo_lumo_gap": gap, "formation_energy_per_site": energy}


def test_verified_count_more_than_unverified(config):
    dataset, verified, unverified = (
        sample_weight(config, _row(2.0), source)
        for source in (None, Source.ORACLE, Source.SURROGATE)
    )
    assert (verified / dataset, unverified / dataset) == pytest.approx((4.0, 0.5))


def test_near_counts_more_than_far_and_what_meets_the_targets_most(config):
    met, near, far = (sample_weight(config, _row(gap), None) for gap in (0.7, 1.0, 2.0))
    assert 3.0 == met > near > far == pytest.approx(1.0, abs=1e-3)
    assert sample_weight(config, _row(0.7, 0.5), None) < met
    assert sample_weight(config, {"homo_lumo_gap": 0.7}, None) == 1.0


def test_a_weight_of_one_leaves_distance_out(config):
    learn = config.learn.model_copy(update={"near_weight": 1.0})
    flat = config.model_copy(update={"learn": learn})
    assert sample_weight(flat, _row(0.7), None) == sample_weight(flat, _row(2.0), None) == 1.0
