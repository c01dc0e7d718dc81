from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.encodings import SparseEncoder
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration

MOS2 = ("V_Mo", "V_S", "W_Mo", "Se_S")
HOST = get_host("MoS2", (4, 4, 1))
ENCODER = SparseEncoder(HOST, MOS2, triples=True)


def named(configuration: Configuration) -> dict[str, float]:
    return dict(zip(ENCODER.feature_names, ENCODER.transform([configuration])[0], strict=True))


def test_a_triangle_by_hand() -> None:
    """A row of three S, 3.19 angstrom apart: flat, so the angle is 180 degrees."""
    sites = [HOST.site_of_label[f"S1 {i} 0"] for i in range(3)]
    row = named(Configuration.from_changes(HOST, dict.fromkeys(sites, "VAC")))
    a = float(HOST.distances[sites[0], sites[1]])
    assert row["longest[V_S,V_S,V_S]"] == pytest.approx(2 * a)
    assert row["perimeter[V_S,V_S,V_S]"] == pytest.approx(4 * a)
    assert row["cosine[V_S,V_S,V_S]"] == pytest.approx(-1)
    absent = 2 * HOST.distances.max()
    assert row["longest[V_Mo,V_S,Se_S]"] == pytest.approx(absent)
    assert row["perimeter[V_Mo,V_S,Se_S]"] == pytest.approx(3 * absent)


def test_closest_triangle_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    rules = Rules(defects=MOS2, min_defects=5, max_defects=8)
    for _ in range(20):
        configuration = random_configuration(HOST, rules, rng)
        row = named(configuration)
        found: dict[str, float] = {}
        for three in combinations(configuration.defects, 3):
            kinds = sorted((d.name(HOST) for d in three), key=MOS2.index)
            sides = [HOST.distances[a.site, b.site] for a, b in combinations(three, 2)]
            name = f"perimeter[{','.join(kinds)}]"
            found[name] = min(found.get(name, np.inf), sum(sides))
        for name, smallest in found.items():
            assert row[name] == pytest.approx(smallest, abs=1e-4)
        absent = {n for n in row if n.startswith("perimeter")} - found.keys()
        assert {row[n] for n in absent} == {np.float32(6 * HOST.distances.max())}


def test_columns_are_added_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SparseEncoder(HOST, MOS2)
    rng = np.random.default_rng(1)
    some = [random_configuration(HOST, Rules(defects=MOS2), rng) for _ in range(40)]
    features = ENCODER.transform(some)
    assert features.shape[1] == len(ENCODER.feature_names) == len(plain.feature_names) + 60
    np.testing.assert_array_equal(features[:, :-60], plain.transform(some))
    again = SparseEncoder.from_spec(json.loads(json.dumps(ENCODER.spec())), HOST)
    np.testing.assert_array_equal(again.transform(some), features)
    older = {k: v for k, v in plain.spec().items() if k != "triples"}
    assert not SparseEncoder.from_spec(older, HOST).triples
    monkeypatch.setattr("defects.encodings.triples.LARGEST", 50)
    np.testing.assert_array_equal(ENCODER.transform(some), features)
    pairs = [c for c in some if c.n_defects < 3]
    assert ENCODER.transform(pairs).shape == (len(pairs), features.shape[1])
