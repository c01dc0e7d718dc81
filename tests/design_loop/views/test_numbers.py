"""Agreement, quality, discovery: the numbers behind the figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_campaign import FakeCampaign

from design_loop.ledger import Ledger
from design_loop.summary import summarise_campaign
from design_loop.views.agreement import agreement, best_share, fit
from design_loop.views.discovery import discoveries
from design_loop.views.parity import parity_figures
from design_loop.views.quality import overall_quality, round_quality


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def test_the_best_quarter_of_unrelated_numbers_looks_good():
    """Al-Maeeni et al. give R² of the kept quarter; for uncorrelated Gaussian pairs it is 0.87."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 20_000))
    kept = best_share(np.abs(y - x))
    found = agreement(x, y, kept)
    assert found.kept.r2 == pytest.approx(0.87, abs=0.02)
    assert found.all.r2 == pytest.approx(-1.0, abs=0.06)
    # So the same values at random stand beside it, and are as good.
    assert found.random_kept.r2 == pytest.approx(found.kept.r2, abs=0.02)
    assert found.random_all.r2 == pytest.approx(found.all.r2, abs=0.06)


def test_real_agreement_is_better_than_at_random():
    rng = np.random.default_rng(2)
    x = rng.random(4000)
    y = x + 0.05 * rng.standard_normal(4000)
    found = agreement(x, y, best_share(np.abs(y - x)))
    assert found.kept.n == found.random_kept.n == 1000
    assert found.kept.rmse < found.random_kept.rmse / 2
    assert found.all.r2 > 0.9 > 0 > found.random_all.r2


def test_fit_of_known_numbers():
    found = fit(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0]))
    assert found.mae == pytest.approx(1.0)
    assert found.rmse == pytest.approx(math.sqrt(3))
    assert found.r2 == pytest.approx(1 - 9 / 14)
    assert math.isnan(fit(np.ones(3), np.ones(3)).r2)
    assert fit(np.array([]), np.array([])).n == 0


def test_the_kept_share_is_of_the_smallest_and_never_empty():
    assert best_share([3, 1, 2, 5, 4], 0.4) == [False, True, True, False, False]
    assert best_share([1.0], 0.25) == [True]
    assert best_share([0, 0, 0, 0, 0, 0, 0, 0]) == [True, True] + [False] * 6
    assert best_share([]) == []


def test_quality_is_of_what_was_predicted_before(ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run()
    summary = summarise_campaign(ledger, name)
    rounds = round_quality(summary, "homo_lumo_gap")
    assert [r.number for r in rounds] == [1, 2, 3]
    mine = [c for c in summary.candidates if c.labelled_in == 2]
    errors = [abs(c.properties["homo_lumo_gap"] - c.prediction.mean["homo_lumo_gap"]) for c in mine]
    assert rounds[1].mae == pytest.approx(np.mean(errors))
    assert rounds[1].spread == pytest.approx(0.08)
    assert rounds[1].coverage == pytest.approx(np.mean([e <= 1.645 * 0.08 for e in errors]))
    assert overall_quality(summary, "homo_lumo_gap").n == len(summary.candidates)
    assert overall_quality(summary, "energy") is None


def test_failures_count_as_calls(ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run()
    summary = summarise_campaign(ledger, name)
    found = discoveries(ledger, summary)
    assert len(found) == len(summary.candidates)
    assert [d.calls for d in found] == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17]
    assert found[-1].hits == summary.hits
    assert found[-1].best == summary.best_error


def test_parity_has_three_plots_a_target_and_two_without_instructions(ledger, tmp_path):
    name = FakeCampaign(ledger, tmp_path).run()
    figures = parity_figures(ledger, summarise_campaign(ledger, name))
    # The made-up samples are asked for a gap alone.
    assert [f.name for f in figures] == [
        "asked-predicted-homo_lumo_gap", "predicted-oracle-homo_lumo_gap",
        "asked-oracle-homo_lumo_gap", "predicted-oracle-formation_energy_per_site",
    ]  # fmt: skip
    assert all("random pairs" in f.caption for f in figures)
