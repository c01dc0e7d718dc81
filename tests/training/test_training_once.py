"""Sources read their files once per worker, and again when they changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from defects.errors import DatasetError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from training import instructions, sources
from training.examples import Example
from training.once import once_per_file


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    read: list[str] = []

    @once_per_file
    def text(path: str | Path) -> str:
        read.append(str(path))
        return Path(path).read_text()

    file = tmp_path / "a"
    file.write_text("one")
    assert [text(file), text(str(file))] == ["one", "one"] and len(read) == 1
    file.write_text("three")
    os.utime(file, ns=(1, 1))
    assert text(file) == "three" and len(read) == 2
    file.unlink()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            text(file)


def test_an_epoch_of_instructions_does_not_read_them_again(tmp_path, monkeypatch) -> None:
    host = get_host("MoS2", "4x4")
    rules = Rules(defects=("V_S", "Se_S"), max_defects=2)
    rng = np.random.default_rng(0)
    items = [
        instructions.Instruction(
            random_configuration(host, rules, rng), {"homo": float(i), "lumo": i + 1.0}
        )
        for i in range(5)
    ]
    path = tmp_path / "i.jsonl"
    instructions.write_instructions(path, host, rules, items)
    source = instructions.InstructionSource(str(path), "compact", ("homo", "lumo"))
    built: list[object] = []
    real = instructions._instruction
    monkeypatch.setattr(
        instructions, "_instruction", lambda *a: built.append(a) or real(*a)
    )  # once per structure and reading
    epochs = [source(epoch, seed=3) for epoch in (0, 1, 0)]
    assert len(built) == 5
    assert epochs[0] == epochs[2] != epochs[1]


def test_examples_of_a_file_are_handed_out_as_lists_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    sources.write_examples([Example("a", "b"), Example("c", "d", 2.0)], path)
    source = sources.JsonlSource(str(path))
    first = source(0, 0)
    first.clear()
    assert source(1, 0) == [Example("a", "b"), Example("c", "d", 2.0)]
    path.write_text("no json\n")
    with pytest.raises(DatasetError, match="line 1"):
        source(2, 0)
