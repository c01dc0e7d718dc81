"""Every encoding gives the same for equivalent configurations."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from defects.configuration import Configuration
from defects.encodings import SparseEncoder, sparse_graph
from defects.encodings.dscribe_features import SoapEncoder, new_encoder
from defects.encodings.slices import slices_encoder
from defects.hosts import Host, get_host
from defects.rules import Rules
from defects.sampling import random_configuration

CASES = {
    "MoS2": ((4, 4, 1), ("V_Mo", "V_S", "W_Mo", "Se_S")),
    "WSe2": ((3, 4, 1), ("V_W", "V_Se", "Mo_W", "S_Se")),
    "hBN": ((4, 4, 1), ("V_B", "V_N", "C_B", "C_N")),
    "GaSe": ((3, 3, 1), ("V_Ga", "V_Se", "S_Se")),
    "InSe": ((2, 2, 1), ("V_In", "V_Se", "Ga_In")),
    "BP": ((3, 4, 1), ("V_P", "N_P")),
}
draws = {"seed": st.integers(0, 2**32 - 1), "number": st.integers(0, 2**32 - 1)}


def pair_of(name: str, seed: int, number: int) -> tuple[Host, tuple[str, ...], list[Configuration]]:
    """A random configuration and its image under a random operation of the host's group."""
    size, defects = CASES[name]
    host = get_host(name, size)
    rules = Rules(defects=defects, max_defects=6)
    one = random_configuration(host, rules, np.random.default_rng(seed))
    return host, defects, [one, one.transform(host.symmetry[number % len(host.symmetry)])]


def graph_content(configuration: Configuration) -> tuple[Counter, Counter]:
    """A graph without the numbers of its nodes: nodes and edges with all their attributes."""
    graph = sparse_graph(configuration)
    nodes = list(zip(graph.now, graph.was, strict=True))
    edges = Counter(
        (nodes[i], nodes[j], round(float(d), 4), round(float(h), 4), int(s), int(o))
        for (i, j), d, h, s, o in zip(
            graph.edges, graph.distance, graph.height, graph.shell, graph.orbit, strict=True
        )
    )
    return Counter(nodes), edges


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20, deadline=None)
@example(seed=3308156, number=152)  # WSe2: two triangles whose sides differ in the last bits only
@given(**draws)
def test_sparse_features_and_graph(name: str, seed: int, number: int) -> None:
    host, defects, (one, image) = pair_of(name, seed, number)
    features = SparseEncoder(host, defects, triples=True).transform([one, image])
    np.testing.assert_array_equal(features[0], features[1])
    assert graph_content(one) == graph_content(image)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20, deadline=None)
@given(**draws)
def test_slices(name: str, seed: int, number: int) -> None:
    host, _, (one, image) = pair_of(name, seed, number)
    encoder = slices_encoder(host)
    assert encoder.encode(one) == encoder.encode(image)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=4, deadline=None)
@given(**draws)
def test_soap_before_the_canonical_form(name: str, seed: int, number: int) -> None:
    """SOAP is invariant itself: the vectors of a site and of its image are the same."""
    pytest.importorskip("dscribe")
    host, defects, (one, image) = pair_of(name, seed, number)
    permutation = host.symmetry[number % len(host.symmetry)]
    sites = np.array([d.site for d in one.defects])
    encoder = SoapEncoder(host, defects)
    here, there = encoder._around(one, sites), encoder._around(image, permutation[sites])
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5 * np.abs(here).max())


@pytest.mark.parametrize("kind", ["soap", "coulomb", "sine"])
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=6, deadline=None)
@given(**draws)
def test_dscribe(name: str, kind: str, seed: int, number: int) -> None:
    pytest.importorskip("dscribe")
    host, defects, both = pair_of(name, seed, number)
    features = new_encoder(kind, host, defects).transform(both)
    size = np.abs(features).max()
    np.testing.assert_array_equal(features[0], features[1])
    other = random_configuration(host, Rules(defects=defects), np.random.default_rng(seed + 1))
    if other.counts() != both[0].counts():
        apart = new_encoder(kind, host, defects).transform([other])[0]
        assert np.abs(apart - features[0]).max() > 1e-3 * size
