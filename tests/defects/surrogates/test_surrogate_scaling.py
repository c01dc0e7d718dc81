from __future__ import annotations

import numpy as np

from defects.configuration import Configuration
from defects.hosts import get_host
from defects.properties import PROPERTIES
from defects.surrogates.scaling import baseline_columns, divisor

HOST = get_host("MoS2", (4, 4, 1))


def test_divisors_turn_totals_into_properties() -> None:
    some = [Configuration.from_changes(HOST, {0: "VAC", 20: "VAC", 21: "Se"})]
    some.append(Configuration.from_changes(HOST, {}))
    assert divisor("formation_energy_per_site", some).tolist() == [3, 1]
    assert divisor("energy_per_atom", some).tolist() == [46, 48]
    for name in set(PROPERTIES) - {"formation_energy_per_site", "energy_per_atom"}:
        assert divisor(name, some).tolist() == [1, 1]


def test_baselines() -> None:
    counts = np.array([[1, 2], [0, 3]])
    assert baseline_columns("homo_lumo_gap", counts).tolist() == [[1], [1]]
    assert baseline_columns("energy", counts).tolist() == [[1, 1, 2], [1, 0, 3]]
    assert baseline_columns("formation_energy_per_site", counts).tolist() == counts.tolist()
