"""Site permutations: a group, that keeps distances and elements."""

from __future__ import annotations

import numpy as np
import pytest

from defects.hosts import get_host


@pytest.mark.parametrize(
    ("name", "cell", "order"),
    [
        ("MoS2", "4x4", 192),  # D3h: 12 operations, 16 translations
        ("MoS2", "8x8", 768),
        ("hBN", "4x4", 96),  # the mirror plane moves no site of a flat layer
        ("BP", "4x4", 128),
        ("MoS2", "4x6", 48),  # the threefold axis does not fit
    ],
)
def test_order_of_the_group(name, cell, order):
    assert len(get_host(name, cell).symmetry) == order


@pytest.mark.parametrize("name", ["MoS2", "WSe2", "hBN", "GaSe", "InSe", "BP"])
def test_permutations_keep_elements_and_distances(name):
    host = get_host(name, "3x3")
    species = np.array(host.species)
    rng = np.random.default_rng(0)
    assert (host.symmetry[0] == np.arange(host.n_sites)).all()
    for g in rng.integers(len(host.symmetry), size=12):
        perm = host.symmetry[g]
        assert (species[perm] == species).all()
        moved = host.distances[np.ix_(perm, perm)]
        assert np.allclose(moved, host.distances, atol=1e-3)


def test_closed_under_composition():
    group = get_host("MoS2", "3x3").symmetry
    known = {tuple(p) for p in group}
    rng = np.random.default_rng(1)
    for a, b in rng.integers(len(group), size=(50, 2)):
        assert tuple(group[a][group[b]]) in known
