"""Files that examples come from."""

from __future__ import annotations

import pickle

import pytest
from tiny_language_model import digit_examples

from defects.errors import DatasetError
from training.examples import Example
from training.sources import (
    JsonlSource,
    examples_hash,
    read_examples,
    write_examples,
)


def test_a_file_is_read_as_it_was_written(tmp_path) -> None:
    examples = [Example("a\u2028b\n", "S1 3 0 VAC\nW"), Example("p", "é", 2.5)]
    path = tmp_path / "examples.jsonl"
    write_examples(examples, path)
    assert read_examples(path) == examples
    source = pickle.loads(pickle.dumps(JsonlSource(str(path))))  # noqa: S301
    assert source(0, 0) == source(3, 7) == examples


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '"text"',
        '{"prompt": "p"}',
        '{"prompt": 1, "answer": "a"}',
        '{"prompt": "p", "answer": "a", "weight": 0}',
        '{"prompt": "p", "answer": "a", "weight": NaN}',
    ],
)
def test_a_bad_line_is_named(tmp_path, line) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text('{"prompt": "p", "answer": "a"}\n' + line + "\n")
    with pytest.raises(DatasetError, match="line 2"):
        read_examples(path)


def test_missing_and_empty_files_are_told(tmp_path) -> None:
    with pytest.raises(DatasetError, match="cannot read"):
        read_examples(tmp_path / "nowhere.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DatasetError, match="no training example"):
        read_examples(tmp_path / "empty.jsonl")


def test_the_hash_follows_content_and_order() -> None:
    examples = digit_examples(5, 0)
    assert examples_hash(examples) == examples_hash(list(examples))
    assert examples_hash(examples) != examples_hash(examples[::-1])
    heavier = [Example(e.prompt, e.answer, 2.0) for e in examples]
    assert examples_hash(examples) != examples_hash(heavier)
