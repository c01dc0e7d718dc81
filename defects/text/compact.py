"""The `compact` format: the answer names only the sites that change.

One line per changed site: sublattice label, cell indices, new symbol. ``S1 3 0 VAC``. Some twenty
times shorter than the full list.
"""

from __future__ import annotations

import re

from defects.configuration import Configuration
from defects.errors import ParseError
from defects.text.request import Request, header


def build_prompt(request: Request) -> str:
    """Instruction text that ends where the answer begins."""
    host = request.host
    labels = ", ".join(f"{e}{i}" for i, e in enumerate(host.unit_species))
    return (
        header(request)
        + f"Sublattices: {labels}\n"
        + "Answer with the changed sites: sublattice, cell, new symbol.\n"
        + "Answer:\n"
    )


def build_answer(configuration: Configuration) -> str:
    """Changed sites in site order, one per line, no newline at the end."""
    host = configuration.host
    return "\n".join(f"{host.site_label(d.site)} {d.species}" for d in configuration.defects)


def answer_parts(configuration: Configuration) -> list[str]:
    """The answer in the parts that one answer may share with another: ``S1 ``, ``3 ``, ``0 ``..."""
    return re.findall(r"[^ \n]+ ?|\n", build_answer(configuration))


def longest_answer(request: Request) -> int:
    """Characters that no right answer exceeds."""
    options = request.rules.options(request.host)
    lines = [
        len(request.host.site_label(site)) + 1 + max(map(len, species))
        for site, species in options.items()
    ]
    return sum(n + 1 for n in sorted(lines)[-request.rules.number(request.host)[1] :])


def parse_answer(text: str, request: Request) -> Configuration:
    """Read a sampled answer.

    Raises
    ------
    ParseError
        With the reason: empty, malformed, unknown_site, duplicate_site, unknown_species, no_change.
    """
    host = request.host
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        raise ParseError("empty", "no line in the answer")
    species_known = {s for options in request.rules.allowed().values() for s in options}
    changes: dict[int, str] = {}
    for line in lines:
        label, _, symbol = line.rpartition(" ")
        if not label or len(line.split()) not in (4, 5):
            raise ParseError("malformed", f"not a changed site: {line[:80]!r}")
        site = host.site_of_label.get(" ".join(label.split()))
        if site is None:
            raise ParseError("unknown_site", f"{host.key} has no site {label[:40]!r}")
        if site in changes:
            raise ParseError("duplicate_site", f"site {label} is named twice")
        if symbol == host.species[site]:
            raise ParseError("no_change", f"site {label} already holds {symbol}")
        if symbol not in species_known:
            raise ParseError("unknown_species", f"{symbol[:20]!r} is in no allowed defect")
        changes[site] = symbol
    return Configuration.from_changes(host, changes)
