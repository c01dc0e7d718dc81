"""Where training examples come from, and examples as a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from defects.errors import DatasetError
from training.examples import Example
from training.once import once_per_file


class ExampleSource(Protocol):
    """Draws the examples of an epoch; picklable, since it is called in the training workers.

    The same epoch and seed give the same list on every worker: that is how the workers share an
    epoch and how a restarted one finds its place.
    """

    def __call__(self, epoch: int, seed: int) -> list[Example]: ...


@dataclass(frozen=True)
class JsonlSource:
    """The same examples in every epoch, from a file of JSON lines.

    Attributes
    ----------
    path : str
        Each line is ``{"prompt": ..., "answer": ..., "weight": ...}``, the weight optional. The
        workers read it: on a cluster it lies on a shared folder.
    """

    path: str

    def __call__(self, epoch: int, seed: int) -> list[Example]:
        return list(_read_once(self.path))


def read_examples(path: str | Path) -> list[Example]:
    """Read examples from JSON lines.

    Raises
    ------
    DatasetError
        If the file is missing, empty, or a line is not an example; names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the training examples in {path}: {error}") from error
    examples = [_example(line, f"{path}, line {n}") for n, line in enumerate(lines, 1) if line]
    if not examples:
        raise DatasetError(f"{path} holds no training example")
    return examples


_read_once = once_per_file(read_examples)


def _example(line: str, where: str) -> Example:
    try:
        row = json.loads(line)
        prompt, answer, weight = row["prompt"], row["answer"], float(row.get("weight", 1.0))
        if not isinstance(prompt, str) or not isinstance(answer, str):
            raise TypeError("prompt and answer are texts")
        if not 0 < weight < float("inf"):
            raise ValueError(f"weight {weight}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f'{where}: not a training example ({error}); expected {{"prompt": "...", '
            '"answer": "..."}'
        ) from error
    return Example(prompt, answer, weight)


def write_examples(examples: Iterable[Example], path: str | Path) -> None:
    """Write examples as JSON lines."""
    with Path(path).open("w", encoding="utf-8") as f:
        for e in examples:
            f.write(json.dumps(asdict(e), ensure_ascii=False) + "\n")


def examples_hash(examples: Sequence[Example]) -> str:
    """sha256 over examples, in order."""
    digest = hashlib.sha256()
    for e in examples:
        digest.update(json.dumps([e.prompt, e.answer, e.weight]).encode())
    return digest.hexdigest()
