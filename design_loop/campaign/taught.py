"""What an adapter was taught: whether a surrogate's answer is new to the one that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from defects.configuration import Configuration
from defects.targets import Target

if TYPE_CHECKING:
    from design_loop.campaign.context import Context

#: A value that moved by less, in units of its target's tolerance, is the same knowledge: surrogates
#: are refitted every round, and none gives the same number twice.
_SAME = 0.2


def instructions_path(context: Context, number: int) -> Path:
    """What the adapter that a round makes is trained on."""
    return context.folder / "instructions" / f"r{number:03d}.jsonl"


def taught_unlabelled(context: Context, adapter: str) -> list[Mapping[str, float]]:
    """Values of what an adapter was taught and nothing has labelled: those that a surrogate said.

    Empty for an adapter that another campaign made: its instructions are not here.
    """
    from training.instructions import read_instructions

    learn = context.config.learn
    if not (learn.distil or learn.use_unverified):
        return []
    for made in context.ledger.adapters(context.id):
        path = instructions_path(context, made.round)
        if made.name == adapter and path.exists():
            labelled = context.training_keys | {
                label.candidate for label in context.labels(context.teacher)
            }
            items = read_instructions(path)[2]
            return [i.properties for i in items if i.configuration.key not in labelled]
    return []


class Taught:
    """The instructions of an adapter, to be asked for what surrogates said.

    Parameters
    ----------
    path : Path
        The instructions that it was trained on. One that was taken over from another campaign has
        none here: then everything is new, which costs a few steps and forgets nothing.
    targets : sequence of Target

    Raises
    ------
    DatasetError
        When the file is damaged.
    """

    def __init__(self, path: Path, targets: Sequence[Target]) -> None:
        from training.instructions import read_instructions

        self._targets = targets
        self._values: dict[str, Mapping[str, float]] = {}
        if path.exists():
            items = read_instructions(path)[2]
            self._values = {item.configuration.key: item.properties for item in items}

    def holds(self, configuration: Configuration, row: Mapping[str, float]) -> bool:
        """Whether it was taught this configuration with practically these values."""
        before = self._values.get(configuration.key)
        return before is not None and all(
            t.property in before
            and abs(row[t.property] - before[t.property]) <= _SAME * t.unit_error()
            for t in self._targets
            if t.property in row
        )
