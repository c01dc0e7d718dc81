"""What is replayed beside new instructions."""

from __future__ import annotations

from dataclasses import replace

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
    resampled,
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
    one, again, other = (sorted(e.prompt for e in source(n, 7)) for n in (0, 0, 1))
    assert one == again != other and len(one) == len(other) == 9


def test_an_instruction_is_shown_as_often_as_it_weighs(items):
    _, items = items
    items = [
        replace(item, weight=w) for item, w in zip(items, [1, 1, 2, 4, 0.5, 0.1], strict=False)
    ]
    total, shown = 8.6, np.zeros(6)
    for epoch in range(300):
        found = resampled(items, np.random.default_rng(epoch))
        counts = [sum(f is item for f in found) for item in items]
        assert sum(counts) == 6
        for count, item in zip(counts, items, strict=True):
            assert np.floor(6 * item.weight / total) <= count <= np.ceil(6 * item.weight / total)
        shown += counts
    assert shown / 300 == pytest.approx([6 * i.weight / total for i in items], abs=0.1)
    alike = [replace(item, weight=3.0) for item in items]
    assert resampled(alike, np.random.default_rng(0)) == alike
    assert resampled([], np.random.default_rng(0)) == []


def test_a_source_names_every_configuration_once(items, tmp_path):
    host, items = items
    write_instructions(tmp_path / "i.jsonl", host, Rules(defects=("Se_S",)), items)
    source = InstructionSource(str(tmp_path / "i.jsonl"), "compact", ("homo_lumo_gap",), replay=1.0)
    # One substituted S is the same crystal wherever it is.
    assert source.configuration_keys() == [items[0].configuration.key]
