"""What is replayed beside new instructions."""

from __future__ import annotations

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.hosts import get_host
from defects.rules import Rules
from training.instructions import (
    Instruction,
    InstructionSource,
    read_instructions,
    replayed,
    write_instructions,
)


@pytest.fixture(scope="module")
def items():
    host = get_host("MoS2", (4, 4, 1))
    sites = [i for i, e in enumerate(host.species) if e == "S"]
    return host, [
        Instruction(
            Configuration.from_changes(host, {site: "Se"}),
            {"homo_lumo_gap": 0.1 * i},
            weight=1.0 + i,
            learnt=i >= 3,
        )
        for i, site in enumerate(sites[:23])
    ]


def test_new_ones_always_and_learnt_ones_by_the_share(items):
    _, items = items
    drawn = [replayed(items, 2.0, np.random.default_rng(epoch)) for epoch in range(3)]
    for found in drawn:
        assert sum(not i.learnt for i in found) == 3
        assert sum(i.learnt for i in found) == 6
        assert len({i.weight for i in found}) == 9
    assert len({tuple(i.weight for i in found) for found in drawn}) > 1
    assert len(replayed(items, 1000, np.random.default_rng(0))) == len(items)
    assert len(replayed(items, 0, np.random.default_rng(0))) == 3
    assert replayed(items[3:], 1.0, np.random.default_rng(0)) == items[3:]


def test_epochs_replay_others_and_the_file_tells_which(items, tmp_path):
    host, items = items
    rules = Rules(defects=("Se_S",), min_defects=1, max_defects=2)
    write_instructions(tmp_path / "i.jsonl", host, rules, items)
    assert sum(i.learnt for i in read_instructions(tmp_path / "i.jsonl")[2]) == 20
    source = InstructionSource(str(tmp_path / "i.jsonl"), "compact", ("homo_lumo_gap",), replay=2.0)
    one, again, other = (sorted(e.weight for e in source(n, 7)) for n in (0, 0, 1))
    assert one == again != other and len(one) == len(other) == 9


def test_a_source_names_every_configuration_once(items, tmp_path):
    host, items = items
    write_instructions(tmp_path / "i.jsonl", host, Rules(defects=("Se_S",)), items)
    source = InstructionSource(str(tmp_path / "i.jsonl"), "compact", ("homo_lumo_gap",), replay=1.0)
    # One substituted S is the same crystal wherever it is.
    assert source.configuration_keys() == [items[0].configuration.key]
