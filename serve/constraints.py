"""Constraints on answers: rules in a request become a grammar on the server.

A client says host, rules and format as typed fields. The grammar that the engine decodes under is
built here from those, by `defects.text.grammar`; a grammar or regular expression of a client's own
never reaches the engine (a malformed one stalls every request behind it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from defects.configuration import Configuration
from defects.errors import RuleError
from defects.hosts import Host
from defects.rules import Rules
from defects.text import Frame, Request, answer_grammar
from serve.hosts import MAX_CELLS, HostTable
from serve.schemas import MAX_LISTED, Changes, Constraint

CACHED = 64
"""Grammars kept; a campaign in the compact format needs one, in the full format one per prompt."""

MAX_SITES = 1200
"""Largest host, in sites, whose answers are constrained; the grammar grows with it."""


class ConstraintTable:
    """Constraints of requests as grammars.

    Parameters
    ----------
    host_files : iterable of Path
        CIF files of hosts that are not built in.
    """

    def __init__(self, host_files: Iterable[Path] = ()) -> None:
        self._hosts = HostTable(host_files)
        self.request = lru_cache(CACHED)(self._request)
        self._grammar = lru_cache(CACHED)(self._build)

    def check(self, constraint: Constraint) -> None:
        """Refuse a constraint that no answer meets.

        Raises
        ------
        HostError
            Unknown host.
        RuleError
            Rules that nothing meets, a host that is too large, or named configurations that are
            none of the rules' or too many for a grammar.
        """
        self.request(constraint)
        if constraint.among is not None:
            self._grammar(constraint)

    def _request(self, constraint: Constraint) -> Request:
        """The request behind a constraint; raises as `check`."""
        host = self._hosts.get(constraint.host, list(constraint.supercell))
        if not can_constrain(host):
            raise RuleError(
                f"a host of {host.n_sites} sites is too large to constrain answers for (at most "
                f"{MAX_SITES})"
            )
        rules = constraint.rules
        rules.validate_for(host)
        frame = Frame(constraint.matrix, constraint.shift)
        if constraint.among is None:
            return Request(host, rules, {}, frame)
        if constraint.format != "compact":
            raise RuleError("among: configurations can be named in the compact format only")
        among = tuple(_named(host, rules, i, c) for i, c in enumerate(constraint.among))
        return Request(host, rules, {}, frame, among=among)

    def grammar(self, constraint: Mapping[str, Any]) -> str:
        """EBNF of the answers that a (checked, dumped) constraint allows."""
        return self._grammar(Constraint.model_validate(constraint))

    def _build(self, constraint: Constraint) -> str:
        return answer_grammar(self.request(constraint), constraint.format).to_ebnf()


def _named(host: Host, rules: Rules, number: int, changes: Changes) -> Configuration:
    """One of the configurations that a constraint names."""
    where = f"among: configuration {number}"
    try:
        configuration = Configuration.from_changes(host, dict(changes))
    except ValueError as error:
        raise RuleError(f"{where}: {error}") from None
    if configuration.n_defects < len(changes):
        raise RuleError(f"{where} names a site twice")
    # Where it lies: the answer is to be this placement.
    broken = rules.on(host).as_placed(configuration.changes)
    if broken is not None:
        raise RuleError(f"{where} is none of the rules': {broken}")
    return configuration


def constraint_of(request: Request, fmt: str) -> dict[str, Any]:
    """The JSON form of a request's constraint, as a client sends it."""
    rules = request.rules.model_dump(mode="json", exclude={"min_separation"})
    always = ("defects", "min_defects", "max_defects")
    return {
        "host": request.host.name,
        "supercell": list(request.host.supercell),
        **{name: value for name, value in rules.items() if value or name in always},
        "format": fmt,
        "matrix": list(request.frame.matrix),
        "shift": list(request.frame.shift),
        **({} if request.among is None else {"among": _changes(request.among)}),
    }


def _changes(among: Sequence[Configuration]) -> list[list[list[Any]]]:
    return [[[d.site, d.species] for d in c.defects] for c in among]


def can_list(request: Request, fmt: str) -> bool:
    """Whether the configurations that a request names can be its constraint."""
    if fmt != "compact" or not request.among or len(request.among) > MAX_LISTED:
        return False
    try:
        answer_grammar(request, fmt)
    except RuleError:
        return False  # many defects in many configurations
    return True


def can_constrain(host: Host) -> bool:
    """Whether the server takes constraints for a host of this size."""
    return host.n_sites <= MAX_SITES and host.n_cells <= MAX_CELLS


def constraints_of(requests: Sequence[Request], fmt: str) -> list[dict[str, Any]] | None:
    """Constraints of requests for one host; None where it is too large for them."""
    if not all(can_constrain(request.host) for request in requests):
        return None
    # Thousands of configurations that requests share are written out once.
    lists = {id(request.among): request.among for request in requests}
    written = {key: {"among": _changes(among)} for key, among in lists.items() if among is not None}
    return [
        constraint_of(replace(request, among=None), fmt) | written.get(id(request.among), {})
        for request in requests
    ]
