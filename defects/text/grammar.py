"""The right answers to a request as a grammar, for an engine that decodes under constraints.

Both formats are regular languages. The rules, the host and the count of defects become a
right-linear grammar: states, each with alternatives "write this text, then go to that state". It is
built from a request, never from anything that a client wrote in a grammar's or a regular
expression's language.

A regular expression would not do: it cannot share what follows, and "in ascending order, at most
six" is then a tree of all answers. As a grammar it is some states per site and count.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

from defects.errors import RuleError
from defects.text.compact import answer_parts
from defects.text.grammar_list import Alternative, States, listed_states
from defects.text.grammar_states import CompactStates, FullStates, Numbers, levels
from defects.text.request import Request

#: Alternatives beyond which a compact grammar says less: first not how many, then not in which
#: order. Some 40 ms of building and compiling per thousand.
MAX_ALTERNATIVES = 60_000


@dataclass(frozen=True)
class Grammar:
    """A right-linear grammar; state 0 is the start.

    Attributes
    ----------
    states : tuple of tuple of (str, int or None)
        Alternatives of each state: text, and the state that follows; None ends the answer.
    """

    states: tuple[tuple[Alternative, ...], ...]

    def accepts(self, text: str) -> bool:
        """Whether the text is an answer of this grammar."""
        here, seen = [(0, 0)], {(0, 0)}
        while here:
            state, start = here.pop()
            for literal, after in self.states[state]:
                if not text.startswith(literal, start):
                    continue
                end = start + len(literal)
                if after is None:
                    if end == len(text):
                        return True
                elif (after, end) not in seen:
                    seen.add((after, end))
                    here.append((after, end))
        return False

    def sample(self, rng: random.Random) -> str:
        """A random answer, every alternative of a state equally likely."""
        state: int | None = 0
        parts = []
        while state is not None:
            literal, state = rng.choice(self.states[state])
            parts.append(literal)
        return "".join(parts)

    @cached_property
    def longest(self) -> int | None:
        """Characters of the longest answer; None where there is no longest."""
        lengths: dict[int, int] = {}
        open_states: set[int] = set()
        stack = [0]
        while stack:
            state = stack[-1]
            if state in lengths:
                stack.pop()
                continue
            after = [s for _, s in self.states[state] if s is not None and s not in lengths]
            if not after:
                lengths[state] = max(
                    len(literal) + (0 if s is None else lengths[s])
                    for literal, s in self.states[state]
                )
                open_states.discard(state)
                stack.pop()
                continue
            open_states.add(state)
            if open_states.intersection(after):
                return None
            stack.extend(after)
        return lengths[0]

    def to_ebnf(self) -> str:
        """As the EBNF that xgrammar and llguidance read, one line per state."""
        uses: dict[str, int] = {}
        for alternatives in self.states:
            for literal, _ in alternatives:
                uses[literal] = uses.get(literal, 0) + 1
        # A long text that several states write is a rule of its own, so that it is compiled once.
        shared = {
            literal: f"t{i}"
            for i, literal in enumerate(t for t, n in uses.items() if n > 1 and len(t) > 8)
        }
        lines = []
        for number, alternatives in enumerate(self.states):
            options = [
                " ".join(
                    filter(
                        None,
                        (
                            shared.get(literal) or _quoted(literal),
                            None if after is None else _name(after),
                        ),
                    )
                )
                for literal, after in alternatives
            ]
            lines.append(f"{_name(number)} ::= {' | '.join(options)}")
        lines += [f"{name} ::= {_quoted(literal)}" for literal, name in shared.items()]
        return "\n".join(lines) + "\n"


def _name(state: int) -> str:
    return "root" if state == 0 else f"s{state}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def answer_grammar(request: Request, fmt: str) -> Grammar:
    """The answers that a request allows.

    Parameters
    ----------
    request : Request
        Host, rules and (full format) frame count; the properties asked for do not.
    fmt : {"compact", "full"}

    Returns
    -------
    Grammar
        `compact`: allowed sites in ascending order, so none twice, with allowed species, a seed's
        defects among them, numbers (in all, of each kind, on a sublattice) as the rules say; where
        that would take more than `MAX_ALTERNATIVES` (a large host with large numbers) the numbers
        of kinds, then all numbers, then order and seeds are left to the parser. `full`: every line
        forced, except that allowed species may stand for the pristine ones, in such numbers
        (beyond that size, the parser counts). Separations are left to the parser: a grammar would
        have to remember every site that was named.

        A request that names its configurations has these as its answers, in the compact format.

    Raises
    ------
    RuleError
        No configuration of the host meets the rules, or those named are none or too many.
    """
    request.rules.validate_for(request.host)
    if request.among is not None:
        return _listed(request, fmt)
    if fmt == "full":
        return _full(request)
    if fmt != "compact":
        raise ValueError(f"format {fmt!r} is none of compact, full")
    return _compact(request)


def _compact(request: Request) -> Grammar:
    rules = request.rules.on(request.host)
    for numbers in levels(rules):
        found = _Builder(CompactStates(rules, numbers, True)).build(("start",), MAX_ALTERNATIVES)
        if found is not None:
            return Grammar(found)
    found = _Builder(CompactStates(rules, Numbers((), 0), False)).build(("start",))
    assert found is not None, "a grammar without a limit is always built"
    return Grammar(found)


def _listed(request: Request, fmt: str) -> Grammar:
    assert request.among is not None
    if fmt != "compact":
        raise RuleError(f"configurations to answer with can be named for compact, not for {fmt}")
    if not request.among:
        raise RuleError("no configuration is named that may answer")
    states = listed_states(answer_parts(c) for c in request.among)
    n = sum(map(len, states))
    if n > MAX_ALTERNATIVES:
        raise RuleError(
            f"{len(request.among)} configurations to answer with make a grammar of {n} "
            f"alternatives, more than {MAX_ALTERNATIVES}: name fewer"
        )
    return Grammar(states)


def _full(request: Request) -> Grammar:
    rules = request.rules.on(request.host)
    for numbers in levels(rules):
        limit = MAX_ALTERNATIVES if numbers.groups else None
        found = _Builder(FullStates(request, rules, numbers)).build(("start",), limit)
        if found is not None:
            return Grammar(found)
    raise AssertionError("a grammar without a limit is always built")


class _Builder:
    """Numbers states as they come up, and asks for their alternatives once each."""

    def __init__(self, expand: Callable[[Hashable], list[tuple[str, Hashable | None]]]) -> None:
        self._expand = expand
        self._numbers: dict[Hashable, int] = {}
        self._waiting: list[Hashable] = []

    def _number(self, state: Hashable) -> int:
        if state not in self._numbers:
            self._numbers[state] = len(self._numbers)
            self._waiting.append(state)
        return self._numbers[state]

    def build(self, start: Hashable, limit: int | None = None) -> States | None:
        """The states of everything reachable, or None with more than `limit` alternatives."""
        self._number(start)
        states: dict[int, tuple[Alternative, ...]] = {}
        total = 0
        while self._waiting:
            state = self._waiting.pop()
            alternatives = self._expand(state)
            total += len(alternatives)
            if limit is not None and total > limit:
                return None
            states[self._numbers[state]] = tuple(
                (text, None if after is None else self._number(after))
                for text, after in alternatives
            )
        return _alive(states)


def _alive(states: dict[int, tuple[Alternative, ...]]) -> States:
    """States from which an answer can end, numbered anew in their order, the start first."""
    before: dict[int, list[int]] = {}
    waiting = []
    for state, alternatives in states.items():
        for _, after in alternatives:
            if after is not None:
                before.setdefault(after, []).append(state)
        if any(after is None for _, after in alternatives):
            waiting.append(state)
    alive = set(waiting)
    while waiting:
        for state in before.get(waiting.pop(), ()):
            if state not in alive:
                alive.add(state)
                waiting.append(state)
    number = {state: i for i, state in enumerate(sorted(alive))}
    return tuple(
        tuple(
            (text, None if after is None else number[after])
            for text, after in states[state]
            if after is None or after in alive
        )
        for state in number
    )
