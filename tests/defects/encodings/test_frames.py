"""What every defect sees of the others in the frames of its site."""

from __future__ import annotations

import numpy as np
import pytest

from defects.encodings.arrays import defect_arrays
from defects.encodings.frames import FrameGraph, frame_graph, neighbour_table, site_frames
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration

HOST = get_host("MoS2", (4, 4, 1))
DEFECTS = ("V_Mo", "V_S", "Se_S")


def _graph(configurations) -> FrameGraph:
    return frame_graph(defect_arrays(configurations, HOST, DEFECTS), HOST, DEFECTS)


def _views(graph: FrameGraph, row: int) -> list:
    """What the defects see, as a multiset: per defect its kind and its frames."""
    out = []
    for slot, kind in enumerate(graph.kinds[row]):
        frames = graph.neighbours[row, slot][graph.frames[row, slot]]
        out.append((int(kind), sorted(tuple(sorted(f.tolist())) for f in frames)))
    return sorted(out)


def test_a_site_has_as_many_frames_as_operations_that_keep_it() -> None:
    frames = site_frames(HOST)
    for site in (0, HOST.n_sites - 1):
        representative = frames.representatives[frames.orbit[site]]
        mine = frames.images[site][frames.present[site]]
        kept = (HOST.symmetry[:, representative] == representative).sum()
        assert (mine[:, site] == representative).all()
        assert len({row.tobytes() for row in mine}) == len(mine) == kept
        # Distances from a site are the same in all of its frames.
        assert np.allclose(HOST.distances[site], HOST.distances[representative][mine], atol=1e-6)


def test_equivalent_configurations_see_the_same() -> None:
    rng = np.random.default_rng(3)
    rules = Rules(defects=DEFECTS, max_defects=4)
    table = neighbour_table(HOST, DEFECTS)
    for _ in range(10):
        one = random_configuration(HOST, rules, rng)
        same = one.transform(HOST.symmetry[rng.integers(len(HOST.symmetry))])
        graph = _graph([one, same])
        assert _views(graph, 0) == _views(graph, 1)
        assert graph.state[0] == pytest.approx(graph.state[1])
        assert graph.neighbours.max() <= len(table)


def test_frames_tell_a_turned_neighbour_from_a_moved_one() -> None:
    """Ways keep the distance and the height of the pair they stand for."""
    rng = np.random.default_rng(4)
    one = random_configuration(HOST, Rules(defects=DEFECTS, min_defects=3, max_defects=3), rng)
    graph, table = _graph([one]), neighbour_table(HOST, DEFECTS)
    for i in range(3):
        for j in range(3):
            ways = graph.neighbours[0, i, :, j]
            if i == j:
                assert (ways == len(table)).all()
                assert np.isinf(graph.distance[0, i, j])
            else:
                assert np.allclose(table.distance[ways], graph.distance[0, i, j], atol=1e-3)
                assert np.ptp(np.abs(table.height[ways])) < 1e-6
