"""What is assumed where a request says nothing."""

from __future__ import annotations

import numpy as np

from defects.hosts import get_host
from defects.text import default_top_p


def kept(probabilities: np.ndarray, top_p: float) -> int:
    """How many choices nucleus sampling keeps: the fewest whose mass reaches top_p."""
    mass = np.cumsum(np.sort(probabilities)[::-1])
    return int(np.searchsorted(mass, top_p - 1e-12)) + 1


def test_a_rare_change_of_a_site_can_be_sampled_in_the_full_format() -> None:
    sites = get_host("MoS2", "4x4").n_sites
    unchanged, vacancy = 1 - 4 / sites, 4 / sites
    probabilities = np.array([unchanged, vacancy])
    assert kept(probabilities, default_top_p("compact")) == 1
    assert kept(probabilities, default_top_p("full")) == 2
