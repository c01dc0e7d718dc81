from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.configuration import Configuration
from defects.encodings import SparseEncoder, defect_arrays, pair_table, sparse_graph
from defects.encodings.stabiliser import stabiliser_orders
from defects.errors import ModelError
from defects.hosts import get_host
from defects.rules import Rules, parse_defect
from defects.sampling import enumerate_configurations, random_configuration

MOS2 = ("V_Mo", "V_S", "W_Mo", "Se_S")
CASES = {
    "MoS2": ((4, 4, 1), MOS2),
    "hBN": ((4, 4, 1), ("V_B", "V_N", "C_B", "C_N")),
    "GaSe": ((3, 3, 1), ("V_Ga", "V_Se", "S_Se")),
    "BP": ((3, 4, 1), ("V_P", "N_P")),
}


def encoder_of(name: str) -> tuple[SparseEncoder, Rules]:
    supercell, defects = CASES[name]
    return SparseEncoder(get_host(name, supercell), defects), Rules(defects=defects)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_invariant_under_the_hosts_group(name: str, seed: int, data: st.DataObject) -> None:
    encoder, rules = encoder_of(name)
    host = encoder.host
    configuration = random_configuration(host, rules, np.random.default_rng(seed))
    operation = data.draw(st.integers(0, len(host.symmetry) - 1))
    image = configuration.transform(host.symmetry[operation])
    features = encoder.transform([configuration, image])
    np.testing.assert_array_equal(features[0], features[1])


def test_orbits_are_classes_of_pairs() -> None:
    """Two pairs are in one orbit exactly when two-defect configurations on them are equivalent."""
    host = get_host("MoS2", (4, 4, 1))
    table = pair_table(host)
    s = [i for i, e in enumerate(host.species) if e == "S"]
    by_orbit: dict[int, set[str]] = {}
    by_key: dict[str, set[int]] = {}
    for j in s[1:]:
        key = Configuration.from_changes(host, {s[0]: "VAC", j: "Se"}).key
        by_orbit.setdefault(int(table.orbit[s[0], j]), set()).add(key)
        by_key.setdefault(key, set()).add(int(table.orbit[s[0], j]))
    assert all(len(keys) == 1 for keys in by_orbit.values())
    assert all(len(orbits) == 1 for orbits in by_key.values())
    assert len(by_orbit) > len(np.unique(np.round(host.distances[s[0], s[1:]], 3)))


def test_pairs_of_a_host_are_told_apart() -> None:
    host = get_host("MoS2", (4, 4, 1))
    encoder = SparseEncoder(host, MOS2, max_defects=2)
    pairs = list(enumerate_configurations(host, Rules(defects=MOS2), 2))
    features = encoder.transform(pairs)
    assert len(np.unique(features, axis=0)) == len(pairs) > 40


@pytest.mark.parametrize("name", CASES)
def test_stabilisers_by_brute_force(name: str) -> None:
    encoder, rules = encoder_of(name)
    host = encoder.host
    rng = np.random.default_rng(4)
    some = [random_configuration(host, rules, rng, n) for n in (1, 1, 2, 2, 2, 3, 3, 4)]
    # All sites of one sublattice changed alike: as symmetric as a configuration can be.
    names, first = encoder.defects[0], int(np.flatnonzero(host.sublattice == 0)[0])
    now, was = parse_defect(names)
    if host.species[first] == was:
        changes = {int(s): now for s in np.flatnonzero(host.sublattice == 0)}
        some.append(Configuration.from_changes(host, changes))
    heights = host.cart_coords[:, 2]
    expected = []
    for configuration in some:
        fixing = [g for g in host.symmetry if configuration.transform(g) == configuration]
        level = [g for g in fixing if np.allclose(heights[g], heights, atol=0.05)]
        expected.append([len(fixing), len(level)])
    arrays = defect_arrays(some, host, encoder.defects)
    assert stabiliser_orders(arrays, host).tolist() == expected
    assert max(e[0] for e in expected) > 1


def test_values_by_hand() -> None:
    host = get_host("MoS2", (4, 4, 1))
    # Two S on top of each other (3.13 Å) and a W over one of the cells' corners.
    changes = {host.site_of_label["S1 0 0"]: "VAC", host.site_of_label["S2 0 0"]: "VAC"}
    encoder = SparseEncoder(host, MOS2)
    row = encoder.transform([Configuration.from_changes(host, changes)])[0]
    named = dict(zip(encoder.feature_names, row, strict=True))
    assert named["n[V_S]"] == named["n"] == 2
    assert named["distance0[V_S,V_S]"] == pytest.approx(3.13, abs=0.01)
    assert named["distance1[V_S,V_S]"] == named["distance0[V_Mo,V_S]"] > 12
    assert named["shell0[V_S,V_S]"] == 1
    assert sum(v for k, v in named.items() if k.startswith("shell")) == 1


def test_one_pristine_and_single_defects() -> None:
    host = get_host("MoS2", (4, 4, 1))
    encoder = SparseEncoder(host, MOS2)
    pristine = Configuration.from_changes(host, {})
    single = Configuration.from_changes(host, {0: "W"})
    features = encoder.transform([pristine, single])
    assert features.shape == (2, len(encoder.feature_names))
    assert features.dtype == np.float32
    assert features[0, :5].tolist() == [0, 0, 0, 0, 0]
    assert features[1, :5].tolist() == [0, 0, 1, 0, 1]
    assert encoder.transform([]).shape == (0, len(encoder.feature_names))


def test_batch_equals_one_by_one() -> None:
    encoder, rules = encoder_of("MoS2")
    rng = np.random.default_rng(1)
    some = [random_configuration(encoder.host, rules, rng) for _ in range(50)]
    alone = np.concatenate([encoder.transform([c]) for c in some])
    np.testing.assert_array_equal(encoder.transform(some), alone)


def test_unknown_defect_and_host_are_refused() -> None:
    host = get_host("MoS2", (4, 4, 1))
    encoder = SparseEncoder(host, ("V_S", "Se_S"))
    with pytest.raises(ModelError, match=r"configuration 0 \(W_Mo\) has W_Mo"):
        encoder.transform([Configuration.from_changes(host, {0: "W"})])
    other = host.with_supercell((5, 5, 1))
    with pytest.raises(ModelError, match="MoS2-5x5x1"):
        encoder.transform([Configuration.from_changes(other, {30: "Se"})])
    with pytest.raises(ModelError, match="V_B"):
        SparseEncoder(host, ("V_B",))


def test_more_defects_than_made_for_are_flagged() -> None:
    host = get_host("MoS2", (4, 4, 1))
    encoder = SparseEncoder(host, MOS2, max_defects=2)
    some = [Configuration.from_changes(host, dict.fromkeys(range(n), "W")) for n in (1, 2, 3)]
    assert encoder.exceeds(some).tolist() == [False, False, True]
    assert encoder.transform(some).shape[0] == 3


def test_specification_round_trip() -> None:
    encoder, rules = encoder_of("MoS2")
    spec = json.loads(json.dumps(encoder.spec()))
    again = SparseEncoder.from_spec(spec, encoder.host)
    rng = np.random.default_rng(2)
    some = [random_configuration(encoder.host, rules, rng) for _ in range(10)]
    np.testing.assert_array_equal(again.transform(some), encoder.transform(some))
    with pytest.raises(ModelError, match="MoS2-4x4x1"):
        SparseEncoder.from_spec(spec, get_host("MoS2", (5, 5, 1)))
    with pytest.raises(ModelError, match="train the surrogate again"):
        SparseEncoder.from_spec({**spec, "n_features": 7}, encoder.host)
    with pytest.raises(ModelError, match="train the surrogate again"):
        SparseEncoder.from_spec({**spec, "n_orbits": 7}, encoder.host)
    with pytest.raises(ModelError, match="incomplete"):
        SparseEncoder.from_spec({"encoding": "sparse", "host": encoder.host.key}, encoder.host)


def test_graph_of_a_configuration() -> None:
    host = get_host("MoS2", (4, 4, 1))
    sites = [host.site_of_label[x] for x in ("Mo0 0 0", "S1 0 0", "S2 0 0")]
    graph = sparse_graph(Configuration.from_changes(host, dict.fromkeys(sites, "VAC")))
    assert graph.was == ("Mo", "S", "S")
    assert set(graph.now) == {"VAC"}
    assert len(graph.edges) == 6
    np.testing.assert_allclose(
        graph.distance, [host.distances[sites[i], sites[j]] for i, j in graph.edges], atol=1e-6
    )
    vertical = [k for k, (i, j) in enumerate(graph.edges) if {i, j} == {1, 2}]
    assert graph.height[vertical] == pytest.approx(3.13, abs=0.01)
    assert graph.shell[vertical].tolist() == [0, 0]


def test_fast_enough_for_screening() -> None:
    """5,000 structures a second with prediction is the aim; the encoding must leave room for it."""
    host = get_host("MoS2", (8, 8, 1))
    encoder = SparseEncoder(host, MOS2)
    rng = np.random.default_rng(3)
    rules = Rules(defects=MOS2)
    some = [random_configuration(host, rules, rng) for _ in range(500)] * 4
    encoder.transform(some[:10])
    start = time.process_time()
    encoder.transform(some)
    assert len(some) / (time.process_time() - start) > 5000
