"""The `full` format, the published one (Al-Maeeni, Derkach, Ustyuzhanin 2024).

The request lists the whole pristine supercell: cell lengths, angles, then every site as a line
with its symbol and a line with its coordinates. The answer is the same list with symbols changed,
``VAC`` for a vacancy.
"""

from __future__ import annotations

import numpy as np

from defects.configuration import Configuration
from defects.errors import ParseError
from defects.properties import VACANCY
from defects.text.request import Request, header

#: Elements that a symbol may be at all; anything else is no symbol.
_SYMBOL_LENGTH = 3


def coordinate_lines(request: Request) -> list[str]:
    """``0.08 0.17 0.25`` for every site, in site order, in the request's frame."""
    coords = np.round(request.frame.coordinates(request.host), 2) % 1.0
    return [f"{x:.2f} {y:.2f} {z:.2f}" for x, y, z in coords]


def _site_list(symbols: list[str], coordinates: list[str]) -> str:
    return "\n".join(f"{s}\n{c}" for s, c in zip(symbols, coordinates, strict=True))


def build_prompt(request: Request) -> str:
    """Instruction text with the pristine crystal, ending where the answer begins."""
    host = request.host
    lengths = np.linalg.norm(host.lattice, axis=1)
    cosines = [
        host.lattice[i] @ host.lattice[j] / (lengths[i] * lengths[j])
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return (
        header(request)
        + " ".join(f"{x:.2f}" for x in lengths)
        + "\n"
        + " ".join(f"{x:.0f}" for x in angles)
        + "\n"
        + _site_list(list(host.species), coordinate_lines(request))
        + "\nAnswer with the full list of sites.\nAnswer:\n"
    )


def build_answer(configuration: Configuration, request: Request) -> str:
    """The full list of sites with the changed symbols, no newline at the end."""
    symbols = list(configuration.host.species)
    for defect in configuration.defects:
        symbols[defect.site] = defect.species
    return _site_list(symbols, coordinate_lines(request))


def longest_answer(request: Request) -> int:
    """Characters that no right answer exceeds."""
    options = request.rules.options(request.host)
    symbols = [max(map(len, (s, *options.get(i, ())))) for i, s in enumerate(request.host.species)]
    return sum(map(len, coordinate_lines(request))) + sum(symbols) + 2 * request.host.n_sites


def parse_answer(text: str, request: Request) -> Configuration:
    """Read a sampled answer against the coordinates of its own request, line by line.

    Raises
    ------
    ParseError
        With the reason: empty, truncated, malformed, unknown_site, unknown_species, no_change.
    """
    host = request.host
    lines = [line.strip() for line in text.strip().splitlines()]
    if not any(lines):
        raise ParseError("empty", "no line in the answer")
    coordinates = coordinate_lines(request)
    if len(lines) < 2 * host.n_sites:
        raise ParseError("truncated", f"{len(lines)} lines, {2 * host.n_sites} expected")
    if len(lines) > 2 * host.n_sites:
        raise ParseError("malformed", f"{len(lines)} lines, {2 * host.n_sites} expected")
    known = {s for options in request.rules.allowed().values() for s in options}
    changes: dict[int, str] = {}
    for site, pristine in enumerate(host.species):
        symbol, place = lines[2 * site], lines[2 * site + 1]
        if place != coordinates[site]:
            raise ParseError(
                "unknown_site",
                f"line {2 * site + 2} is {place[:40]!r}, site {site} lies at {coordinates[site]}",
            )
        if symbol == pristine:
            continue
        if not symbol.isalpha() or len(symbol) > _SYMBOL_LENGTH:
            raise ParseError("malformed", f"line {2 * site + 1} is no symbol: {symbol[:40]!r}")
        if symbol not in known and symbol != VACANCY:
            raise ParseError("unknown_species", f"{symbol!r} is in no allowed defect")
        changes[site] = symbol
    if not changes:
        raise ParseError("no_change", "the answer is the pristine host")
    return Configuration.from_changes(host, changes)
