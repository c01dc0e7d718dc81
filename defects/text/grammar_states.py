"""States of the grammars of both formats: what may follow what has been written."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from defects.rules import RuleSet
from defects.rules.groups import Group
from defects.text.full import coordinate_lines
from defects.text.request import Request

Counts = tuple[int, ...]


class Numbers:
    """What an answer has to count: numbers of defects, in all and of groups.

    Parameters
    ----------
    groups : sequence of Group
        Those that are counted, the total first; none of them.
    most : int
        Most defects in all.
    """

    def __init__(self, groups: Sequence[Group], most: int) -> None:
        self.groups, self.most = groups, most
        self.start = (0,) * len(groups)

    def add(self, counts: Counts, site: int, kind: int) -> Counts | None:
        """Counts with one more defect; None where that is too many."""
        after = []
        for group, n in zip(self.groups, counts, strict=True):
            n += int(group.mask[site, kind])
            if n > group.high:
                return None
            # Beyond what is asked for, more of an unbounded group is all the same.
            after.append(n if group.high < self.most or group.rule == "defects" else
                         min(n, group.low))  # fmt: skip
        return tuple(after)

    def enough(self, counts: Counts) -> bool:
        """Whether an answer may end."""
        return all(n >= g.low for g, n in zip(self.groups, counts, strict=True))

    def missing(self, counts: Counts) -> int:
        """Defects that are to come at least."""
        return max((g.low - n for g, n in zip(self.groups, counts, strict=True)), default=0)

    def full(self, counts: Counts) -> bool:
        """Whether no defect may be added."""
        return bool(self.groups) and counts[0] >= self.groups[0].high


def levels(rules: RuleSet) -> list[Numbers]:
    """What to count: everything, the total, nothing; the first that a grammar has room for."""
    total = rules.groups[0]
    most = min(total.high, len(rules.options))
    binding = [
        g for g in rules.groups[1:] if g.low > 0 or g.high < min(most, g.mask.any(axis=1).sum())
    ]
    total = replace(total, low=min(total.low, len(rules.options)))
    counted: list[list[Group]] = [[total, *binding]] if binding else []
    return [Numbers(groups, most) for groups in [*counted, [total], []]]


class CompactStates:
    """Alternatives of the states of the compact format.

    States: ``("line", seed, lowest, counts)`` begins a line, sites from the `lowest`-th allowed
    one on; ``("label", seed, lowest, counts, prefix)`` is within its label; ``("species", seed, i,
    counts)`` follows the label of the `i`-th allowed site; ``("end", seed, i, counts)`` follows the
    line.
    """

    def __init__(self, rules: RuleSet, numbers: Numbers, ordered: bool) -> None:
        self.rules, self.numbers, self.ordered = rules, numbers, ordered
        host = rules.host
        self.sites = list(rules.options)
        self.labels = [tuple(host.site_label(site).split(" ")) for site in self.sites]
        # Where the order is free nothing can be forced.
        self.seeds = rules.seeds if ordered else ({},)
        self.choices = _choices(rules, self.seeds)
        # The next site from each on that a seed asks for; none is beyond the end.
        self.forced = [[len(self.sites)] * (len(self.sites) + 1) for _ in self.seeds]
        for seed, forced in zip(self.seeds, self.forced, strict=True):
            for i in reversed(range(len(self.sites))):
                forced[i] = i if self.sites[i] in seed else forced[i + 1]
        # First and last allowed site of every beginning of a label: blocks, since sites are in
        # the order of their labels' parts.
        self.blocks: dict[tuple[str, ...], list[int]] = {}
        for i, label in enumerate(self.labels):
            for length in range(len(label) + 1):
                self.blocks.setdefault(label[:length], [i, i])[1] = i

    def __call__(self, state: Hashable) -> list[tuple[str, Hashable | None]]:
        if state == ("start",):
            start = self.numbers.start
            return [a for seed in range(len(self.seeds)) for a in self._label(seed, 0, start, ())]
        kind, seed, i, counts, *rest = state
        if kind == "line":
            return self._label(seed, i, counts, ())
        if kind == "label":
            return self._label(seed, i, counts, rest[0])
        if kind == "species":
            return self._species(seed, i, counts)
        return self._end(seed, i, counts)

    def _label(
        self, seed: int, lowest: int, counts: Counts, prefix: tuple[str, ...]
    ) -> list[tuple[str, Hashable | None]]:
        # Enough sites must be left for the fewest defects, and none of the seed's passed over.
        highest = len(self.sites) - 1
        if self.ordered:
            highest -= max(0, self.numbers.missing(counts) - 1)
            highest = min(highest, self.forced[seed][lowest])
        first, last = self.blocks[prefix]
        alternatives: list[tuple[str, Hashable | None]] = []
        i = max(first, lowest)
        while i <= min(last, highest):
            longer = self.labels[i][: len(prefix) + 1]
            text = longer[-1] + " "
            if len(longer) == len(self.labels[i]):
                alternatives.append((text, ("species", seed, i, counts)))
            else:
                # From the block's beginning on, it does not matter where the line before was.
                alternatives.append((text, ("label", seed, max(i, lowest), counts, longer)))
            i = self.blocks[longer][1] + 1
        return alternatives

    def _species(self, seed: int, i: int, counts: Counts) -> list[tuple[str, Hashable | None]]:
        site = self.sites[i]
        found: list[tuple[str, Hashable | None]] = []
        for kind in self.choices[seed].get(site, ()):
            after = self.numbers.add(counts, site, kind)
            if after is not None:
                found.append((self.rules.species[kind], ("end", seed, i, after)))
        return found

    def _end(self, seed: int, i: int, counts: Counts) -> list[tuple[str, Hashable | None]]:
        alternatives: list[tuple[str, Hashable | None]] = []
        following = i + 1 if self.ordered else 0
        last = self.forced[seed][following] == len(self.sites)
        if self.numbers.enough(counts) and last:
            alternatives.append(("", None))
        if not self.numbers.full(counts) and following < len(self.sites):
            alternatives.append(("\n", ("line", seed, following, counts)))
        return alternatives


def _choices(
    rules: RuleSet, seeds: Sequence[Mapping[int, str]]
) -> list[dict[int, tuple[int, ...]]]:
    """Site → kinds that may stand there, for each seed."""
    found = []
    for seed in seeds:
        may = {s: tuple(np.flatnonzero(rules.allowed[s]).tolist()) for s in rules.options}
        may |= {s: (k,) for s, k in rules.coded(seed)}
        found.append(may)
    return found


class FullStates:
    """Alternatives of the states of the full format.

    States: ``("symbol", seed, site, counts)`` begins a site; ``("place", seed, site, counts)``
    follows its symbol.
    """

    def __init__(self, request: Request, rules: RuleSet, numbers: Numbers) -> None:
        self.rules, self.numbers = rules, numbers
        self.pristine = request.host.species
        self.choices = _choices(rules, rules.seeds)
        self.coordinates = coordinate_lines(request)
        # How many sites from each on may change.
        self.left = [0] * (len(self.pristine) + 1)
        for site in reversed(range(len(self.pristine))):
            self.left[site] = self.left[site + 1] + (site in rules.options)

    def __call__(self, state: Hashable) -> list[tuple[str, Hashable | None]]:
        if state == ("start",):
            start = self.numbers.start
            return [
                a for seed in range(len(self.rules.seeds)) for a in self._symbol(seed, 0, start)
            ]
        kind, seed, site, counts = state
        if kind == "symbol":
            return self._symbol(seed, site, counts)
        if site + 1 < len(self.pristine):
            return [(f"\n{self.coordinates[site]}\n", ("symbol", seed, site + 1, counts))]
        return [(f"\n{self.coordinates[site]}", None)] if self.numbers.enough(counts) else []

    def _symbol(self, seed: int, site: int, counts: Counts) -> list[tuple[str, Hashable | None]]:
        alternatives: list[tuple[str, Hashable | None]] = []
        forced = site in self.rules.seeds[seed]
        if not forced and self.left[site + 1] >= self.numbers.missing(counts):
            alternatives.append((self.pristine[site], ("place", seed, site, counts)))
        for kind in self.choices[seed].get(site, ()):
            after = self.numbers.add(counts, site, kind)
            if after is not None:
                alternatives.append((self.rules.species[kind], ("place", seed, site, after)))
        return alternatives
