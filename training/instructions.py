"""Instructions for fine-tuning: labelled configurations on disk, drawn anew at every epoch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.errors import DatasetError
from defects.hosts import Host
from defects.properties import Property
from defects.rules import Rules
from defects.text import FORMATS, training_pair
from defects.text.augment import PLACEMENTS, Placement
from training.examples import Example
from training.once import once_per_file


@dataclass(frozen=True)
class Instruction:
    """A configuration, its known properties and how much it counts.

    Attributes
    ----------
    configuration : Configuration
    properties : mapping
        Property -> true value, in its unit.
    weight : float
        How often it is shown relative to others.
    learnt : bool
        Whether the adapter that is gone on from has learnt it: then it may be replayed.
    plain : bool
        Whether it breaks the rules beyond the allowed defects and their number; read from a file.
    """

    configuration: Configuration
    properties: Mapping[str, float]
    weight: float = 1.0
    learnt: bool = False
    plain: bool = False


def write_instructions(
    path: str | Path, host: Host, rules: Rules, instructions: Iterable[Instruction]
) -> str:
    """Write instructions as JSON lines, atomically, and return the content's sha256.

    The first line names host and rules. A configuration that breaks them, but not the allowed
    defects and their number, is kept for requests that state no more than these: what it says of
    its properties is worth knowing. What breaks those, too, is left out.
    """
    path = Path(path)
    head = {
        "host": host.name,
        "supercell": list(host.supercell),
        "lattice": host.unit_lattice.tolist(),
        "species": list(host.unit_species),
        "frac_coords": host.unit_frac_coords.tolist(),
        "rules": rules.model_dump(mode="json"),
    }
    lines = [json.dumps(head)]
    for item in instructions:
        if not item.properties or rules.plain.violation(item.configuration) is not None:
            continue
        placed = rules.place(item.configuration)
        if placed is not None or not rules.is_plain:
            row = {
                "defects": (placed or item.configuration).to_dict()["defects"],
                "properties": dict(item.properties),
                "weight": item.weight,
            }
            if placed is None:
                row["plain"] = True
            if item.learnt:
                row["learnt"] = True
            lines.append(json.dumps(row))
    if len(lines) == 1:
        raise DatasetError("no labelled configuration obeys the rules: nothing to fine-tune on")
    text = "\n".join(lines) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    partial.replace(path)
    return hashlib.sha256(text.encode()).hexdigest()


def read_instructions(path: str | Path) -> tuple[Host, Rules, list[Instruction]]:
    """Inverse of `write_instructions`.

    Raises
    ------
    DatasetError
        When the file is missing or not what `write_instructions` writes.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        head, *rows = (json.loads(line) for line in lines)
        host = Host(
            head["host"],
            tuple(head["supercell"]),
            np.array(head["lattice"]),
            tuple(head["species"]),
            np.array(head["frac_coords"]),
        )
        rules = Rules.model_validate(head["rules"])
        items = [_instruction(host, row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is no file of instructions: {error}") from error
    return host, rules, items


_read_once = once_per_file(read_instructions)


def _instruction(host: Host, row: Mapping[str, Any]) -> Instruction:
    changes = {int(s): str(e) for s, e in row["defects"]}
    return Instruction(
        Configuration.from_changes(host, changes),
        row["properties"],
        float(row["weight"]),
        row.get("learnt", False) is True,
        row.get("plain", False) is True,
    )


@dataclass(frozen=True)
class InstructionSource:
    """Training examples of a file of instructions: a new face of every one at each epoch.

    Attributes
    ----------
    path : str
        Written by `write_instructions`; readable on every training worker.
    fmt : {"compact", "full"}
    properties : tuple of str
        Which properties may be asked for.
    keep_all : float
        Probability that all known ones are asked for at once.
    placement : {"canonical", "anchored", "random"}
        Which member of a configuration's class is shown. One and the same by default: nothing has
        to be learnt of the group then, and all of a short training goes into which crystal has
        which properties.
    own : mapping
        A user's own properties by name: their units and decimals.
    replay : float or None
        So many of the learnt instructions per new one, others at every epoch; None for all.
    """

    path: str
    fmt: str
    properties: tuple[str, ...]
    keep_all: float = 0.5
    placement: Placement = "canonical"
    replay: float | None = None
    own: Mapping[str, Property] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fmt not in FORMATS:
            raise ValueError(f"format {self.fmt!r} is none of {', '.join(FORMATS)}")
        if self.placement not in PLACEMENTS:
            raise ValueError(f"placement {self.placement!r} is none of {', '.join(PLACEMENTS)}")

    def configuration_keys(self) -> list[str]:
        """Keys of all configurations, sorted; those learnt earlier are among them."""
        return sorted({item.configuration.key for item in _read_once(self.path)[2]})

    def __call__(self, epoch: int, seed: int) -> list[Example]:
        """Return the examples of one epoch; the same for the same epoch and seed."""
        _, rules, items = _read_once(self.path)
        rng = np.random.default_rng([seed, epoch])
        if self.replay is not None:
            items = replayed(items, self.replay, rng)
        items = resampled(items, rng)
        plain = rules.plain
        examples = []
        for item in items:
            known = {p: item.properties[p] for p in self.properties if p in item.properties}
            if not known:
                continue
            prompt, answer = training_pair(
                item.configuration,
                plain if item.plain else rules,
                known,
                self.fmt,
                rng,
                keep_all=self.keep_all,
                placement=self.placement,
                own=self.own,
            )
            examples.append(Example(prompt, answer))
        return examples


def resampled(items: Sequence[Instruction], rng: np.random.Generator) -> list[Instruction]:
    """As many items, each as often as its weight says: systematic resampling.

    The expected gradient is that of a weighted loss. But the steps of a short training are spent on
    what counts, and a heavy instruction is shown with several subsets of its properties. Each is
    there the whole number of times below or above n·w/Σw (Kitagawa 1996, J. Comput. Graph. Stat. 5,
    1); equal weights leave the items as they are.
    """
    weights = np.array([item.weight for item in items])
    if len(items) == 0 or np.ptp(weights) == 0:
        return list(items)
    ends = np.cumsum(weights) / weights.sum() * len(items)
    # The last end is n up to rounding, and every mark lies below n.
    marks = np.arange(len(items)) + rng.random()
    places = np.minimum(np.searchsorted(ends, marks, side="right"), len(items) - 1)
    return [items[i] for i in places]


def replayed(
    items: Sequence[Instruction], replay: float, rng: np.random.Generator
) -> list[Instruction]:
    """All new instructions, and `replay` times as many of the learnt ones, drawn without repeats.

    Without a new one, as many learnt ones as there are: there is nothing else to learn from.
    """
    learnt = [i for i, item in enumerate(items) if item.learnt]
    new = [i for i, item in enumerate(items) if not item.learnt]
    count = min(len(learnt), round(replay * len(new))) if new else len(learnt)
    chosen = [*new, *rng.choice(learnt, size=count, replace=False).tolist()] if count else new
    return [items[i] for i in sorted(chosen)]
