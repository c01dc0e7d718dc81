"""The two instruction formats behind one set of functions."""

from __future__ import annotations

from defects.configuration import Configuration
from defects.errors import ParseError
from defects.text import compact, full
from defects.text.request import Request

FORMATS = ("compact", "full")

#: Why a sample may be dropped; stable strings, counted in the ledger.
DROP_REASONS = (
    "empty",
    "malformed",
    "truncated",
    "unknown_site",
    "duplicate_site",
    "unknown_species",
    "no_change",
    "rule_violation",
    "duplicate_in_campaign",
    "duplicate_in_training",
)

#: A sampled text longer than this many characters per site is cut before it is read.
_MAX_CHARS_PER_SITE = 64


def default_top_p(fmt: str) -> float:
    """Probability mass that answers are sampled from where nothing else is asked for.

    0.9 as published, but 1 in the full format: there a change of any one site is unlikely (4 sites
    of 48, say), and of 48 choices between 0.92 and 0.08 nucleus sampling leaves none but the first.
    """
    return 1.0 if fmt == "full" else 0.9


def build_prompt(request: Request, fmt: str) -> str:
    """Instruction text of a request in a format; it ends where the answer begins."""
    return _module(fmt).build_prompt(request)


def build_answer(configuration: Configuration, request: Request, fmt: str) -> str:
    """The right answer to a request, without the end-of-text token."""
    if fmt == "full":
        return full.build_answer(configuration, request)
    return _module(fmt).build_answer(configuration)


def longest_answer(request: Request, fmt: str) -> int:
    """Characters that no right answer to a request exceeds.

    Bounds its tokens as well: no tokenizer makes more than one of a character of these texts.
    """
    return _module(fmt).longest_answer(request)


def parse_answer(text: str, request: Request, fmt: str) -> Configuration:
    """A sampled answer as a configuration that obeys the request's rules.

    Where the answer breaks rules about particular sites and an equivalent placement keeps them, it
    is that one (`Rules.place`): the same crystal.

    Raises
    ------
    ParseError
        With one of `DROP_REASONS` and the detail.
    """
    limit = _MAX_CHARS_PER_SITE * request.host.n_sites
    if len(text) > limit:
        raise ParseError("malformed", f"{len(text)} characters, more than {limit}")
    configuration = _module(fmt).parse_answer(text, request)
    placed = request.rules.place(configuration)
    if placed is None:
        violation = request.rules.violation(configuration) or ""
        raise ParseError("rule_violation", violation)
    return placed


def _module(fmt: str):
    if fmt not in FORMATS:
        raise ValueError(f"format {fmt!r} is none of {', '.join(FORMATS)}")
    return compact if fmt == "compact" else full
