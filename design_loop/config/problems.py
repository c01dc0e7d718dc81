"""A problem of a campaign file: where, what, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from defects.errors import ConfigError

Loc = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, or (as a warning) that the user should know.

    Attributes
    ----------
    loc
        Keys and list positions from the top of the file, as pydantic gives them.
    message
        What is wrong and what to write instead.
    warning
        The campaign can run with it.
    """

    loc: Loc
    message: str
    warning: bool = False

    @property
    def path(self) -> str:
        """The place in dots and brackets: ``targets[0].min``."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.loc)
        return text.removeprefix(".")


class CampaignFileError(ConfigError):
    """A campaign file is not acceptable; all its problems at once.

    Attributes
    ----------
    problems
        In the order of the file.
    """

    def __init__(self, name: str, lines: Sequence[tuple[int | None, Problem]]) -> None:
        self.problems = tuple(problem for _, problem in lines)
        count = f"{len(lines)} problems" if len(lines) > 1 else "1 problem"
        listed = [format_problem(name, line, problem) for line, problem in lines]
        super().__init__("\n".join([f"{name}: {count}, nothing was started", *listed]))


def format_problem(name: str, line: int | None, problem: Problem) -> str:
    """``campaign.yaml:7: rules.min_defects: ...``, which editors take as an address."""
    place = name if line is None else f"{name}:{line}"
    return ": ".join(part for part in (place, problem.path, problem.message) if part)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """``; did you mean 'format'?``, or the known words where none is near."""
    words = sorted(map(str, known))
    near = difflib.get_close_matches(str(word), words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(words)}" if words else ""
