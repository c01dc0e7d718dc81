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

from defects.text.full import coordinate_lines
from defects.text.request import Request

#: Alternatives beyond which a compact grammar says less: first not how many, then not in which
#: order. Some 40 ms of building and compiling per thousand.
MAX_ALTERNATIVES = 60_000

Alternative = tuple[str, int | None]


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
        `compact`: allowed sites in ascending order, so none twice, with allowed species, as many
        as the rules say; where that would take more than `MAX_ALTERNATIVES` (a large host with a
        large count) the count and then the order is left to the parser. `full`: every line
        forced, except that allowed species may stand for the pristine ones, as many as the rules
        say (beyond that size, the parser counts).

    Raises
    ------
    RuleError
        No configuration of the host meets the rules.
    """
    request.rules.validate_for(request.host)
    if fmt == "full":
        return _full(request)
    if fmt != "compact":
        raise ValueError(f"format {fmt!r} is none of compact, full")
    return _compact(request)


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

    def build(self, start: Hashable, limit: int | None = None) -> Grammar | None:
        """The grammar of everything reachable, or None with more than `limit` alternatives."""
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
        return Grammar(tuple(states[i] for i in range(len(states))))


def _compact(request: Request) -> Grammar:
    for counted, ordered in ((True, True), (False, True), (False, False)):
        found = _Builder(_CompactStates(request, counted, ordered)).build(
            ("line", 0, 0), MAX_ALTERNATIVES if ordered else None
        )
        if found is not None:
            return found
    raise AssertionError("a grammar without a limit is always built")


class _CompactStates:
    """Alternatives of the states of the compact format.

    States: ``("line", lowest, count)`` begins a line after `count` lines, sites from the
    `lowest`-th allowed one on; ``("label", lowest, count, prefix)`` is within its label;
    ``("species", i, count)`` follows the label of the `i`-th allowed site; ``("end", i, count)``
    follows the line.
    """

    def __init__(self, request: Request, counted: bool, ordered: bool) -> None:
        host, rules = request.host, request.rules
        self.options = list(rules.options(host).items())
        self.labels = [tuple(host.site_label(site).split(" ")) for site, _ in self.options]
        self.low = min(rules.min_defects, len(self.options)) if counted else 1
        self.high = rules.max_defects
        self.counted, self.ordered = counted, ordered
        # First and last allowed site of every beginning of a label: blocks, since sites are in
        # the order of their labels' parts.
        self.blocks: dict[tuple[str, ...], list[int]] = {}
        for i, label in enumerate(self.labels):
            for length in range(len(label) + 1):
                self.blocks.setdefault(label[:length], [i, i])[1] = i

    def __call__(self, state: Hashable) -> list[tuple[str, Hashable | None]]:
        kind, i, count, *rest = state
        if kind == "line":
            return self._label(i, count, ())
        if kind == "label":
            return self._label(i, count, rest[0])
        if kind == "species":
            return [(species, ("end", i, count)) for species in self.options[i][1]]
        return self._end(i, count)

    def _label(
        self, lowest: int, count: int, prefix: tuple[str, ...]
    ) -> list[tuple[str, Hashable | None]]:
        # Enough sites must be left for the fewest defects.
        highest = len(self.options) - 1
        if self.ordered:
            highest -= max(0, self.low - count - 1)
        first, last = self.blocks[prefix]
        alternatives: list[tuple[str, Hashable | None]] = []
        i = max(first, lowest)
        while i <= min(last, highest):
            longer = self.labels[i][: len(prefix) + 1]
            text = longer[-1] + " "
            if len(longer) == len(self.labels[i]):
                alternatives.append((text, ("species", i, count)))
            else:
                # From the block's beginning on, it does not matter where the line before was.
                alternatives.append((text, ("label", max(i, lowest), count, longer)))
            i = self.blocks[longer][1] + 1
        return alternatives

    def _end(self, i: int, count: int) -> list[tuple[str, Hashable | None]]:
        count += self.counted
        alternatives: list[tuple[str, Hashable | None]] = []
        if not self.counted or count >= self.low:
            alternatives.append(("", None))
        more = not self.counted or count < self.high
        following = i + 1 if self.ordered else 0
        if more and following < len(self.options):
            alternatives.append(("\n", ("line", following, count)))
        return alternatives


def _full(request: Request) -> Grammar:
    for counted in (True, False):
        found = _Builder(_FullStates(request, counted)).build(
            ("symbol", 0, 0), MAX_ALTERNATIVES if counted else None
        )
        if found is not None:
            return found
    raise AssertionError("a grammar without a limit is always built")


class _FullStates:
    """Alternatives of the states of the full format.

    States: ``("symbol", site, count)`` begins a site after `count` changes; ``("place", site,
    count)`` follows its symbol.
    """

    def __init__(self, request: Request, counted: bool) -> None:
        host, rules = request.host, request.rules
        self.pristine, self.options = host.species, rules.options(host)
        self.coordinates = coordinate_lines(request)
        self.low = rules.min_defects if counted else 0
        self.high = rules.max_defects
        self.counted = counted
        # How many sites from each on may change.
        self.left = [0] * (host.n_sites + 1)
        for site in reversed(range(host.n_sites)):
            self.left[site] = self.left[site + 1] + (site in self.options)

    def __call__(self, state: Hashable) -> list[tuple[str, Hashable | None]]:
        kind, site, count = state
        if kind == "place":
            if site + 1 == len(self.pristine):
                return [(f"\n{self.coordinates[site]}", None)]
            return [(f"\n{self.coordinates[site]}\n", ("symbol", site + 1, count))]
        alternatives: list[tuple[str, Hashable | None]] = []
        if count + self.left[site + 1] >= self.low:
            alternatives.append((self.pristine[site], ("place", site, count)))
        if count < self.high:
            more = ("place", site, count + self.counted)
            alternatives += [(species, more) for species in self.options.get(site, ())]
        return alternatives
