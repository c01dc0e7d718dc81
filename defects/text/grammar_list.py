"""Listed answers as the states of a grammar: what they begin and end with in common is shared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Alternative = tuple[str, int | None]
States = tuple[tuple[Alternative, ...], ...]

_END: Alternative = ("", None)


def listed_states(answers: Iterable[Sequence[str]]) -> States:
    """The smallest automaton of so many answers.

    Built from the answers in order, each state merged with an equal one as soon as nothing can be
    added to it (Daciuk et al., Computational Linguistics 26 (2000) 3, algorithm 1).

    Parameters
    ----------
    answers : iterable of sequence of str
        Each in the parts it is written in; from no state do two parts begin alike.

    Returns
    -------
    tuple of tuple of (str, int or None)
        As `defects.text.grammar.Grammar` has them; state 0 is the start.
    """
    numbers: dict[tuple[Alternative, ...], int] = {}
    # The states along the answer before, to which alternatives may still come.
    path: list[list[Alternative]] = [[]]
    before: Sequence[str] = ()

    def close(depth: int) -> None:
        while len(path) > depth + 1:
            state = tuple(path.pop())
            # The start is 0.
            number = numbers.setdefault(state, len(numbers) + 1)
            path[-1].append((before[len(path) - 1], number))

    for answer in sorted({tuple(answer) for answer in answers}):
        pairs = zip(before, answer, strict=False)
        shared = next(
            (i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(answer))
        )
        close(shared)
        path.extend([] for _ in answer[shared:])
        path[-1].append(_END)
        before = answer
    close(0)
    return (tuple(path[0]), *numbers)
