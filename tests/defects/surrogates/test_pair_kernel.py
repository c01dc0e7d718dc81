from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.configuration import Configuration
from defects.encodings import SparseEncoder, defect_arrays
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates.pair_kernel import (
    PairKernel,
    PairKernelSettings,
    pair_columns,
    pair_occupancy,
)
from defects.surrogates.pair_model import PairModel

DEFECTS = ("V_Mo", "V_S", "W_Mo", "Se_S")
HOST = get_host("MoS2", (4, 4, 1))
RULES = Rules(defects=DEFECTS)


def some(n: int, seed: int) -> list:
    rng = np.random.default_rng(seed)
    return [random_configuration(HOST, RULES, rng) for _ in range(n)]


def occupancy(configurations: list):
    return pair_occupancy(defect_arrays(configurations, HOST, DEFECTS), HOST, DEFECTS)


def test_every_pair_is_counted_once() -> None:
    configurations = some(50, 0)
    pairs = occupancy(configurations).pairs.sum(axis=1)
    assert pairs.tolist() == [c.n_defects * (c.n_defects - 1) / 2 for c in configurations]
    columns = pair_columns(HOST, DEFECTS)
    assert len(np.unique(columns, axis=0)) == len(columns)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), operation=st.integers(0, len(HOST.symmetry) - 1))
def test_invariant_under_the_hosts_group(seed: int, operation: int) -> None:
    configuration = some(1, seed)[0]
    image = configuration.transform(HOST.symmetry[operation])
    both = occupancy([configuration, image])
    np.testing.assert_array_equal(both.pairs[0], both.pairs[1])


def test_covariance_is_symmetric_and_positive() -> None:
    known = occupancy(some(120, 1))
    covariance = PairKernel(HOST, DEFECTS, PairKernelSettings()).matrix(known, known)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > -1e-8 * covariance.max()


def test_far_pairs_matter_less() -> None:
    kernel = PairKernel(HOST, DEFECTS, PairKernelSettings(decay=1.0))
    s = [i for i, e in enumerate(HOST.species) if e == "S"]
    order = sorted(s[1:], key=lambda j: HOST.distances[s[0], j])
    near, far = (
        Configuration.from_changes(HOST, {s[0]: "VAC", j: "VAC"}) for j in (order[0], order[-1])
    )
    pair = occupancy([near, far])
    variance = np.diag(kernel.matrix(pair, pair))
    assert variance[0] > variance[1]


def test_model_round_trip_is_exact() -> None:
    encoder = SparseEncoder(HOST, DEFECTS)
    arrays = defect_arrays(some(30, 2), HOST, DEFECTS)
    weights = np.random.default_rng(0).normal(size=30)
    model = PairModel(encoder, PairKernelSettings(decay=2.5), arrays, weights)
    again = PairModel.from_dict(json.loads(json.dumps(model.to_dict())), encoder)
    new = occupancy(some(40, 3))
    np.testing.assert_array_equal(again.mean(new), model.mean(new))
