"""What was searched: the host, its defects, the rules on them, a campaign's own properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from defects.rules.schema import ALL, ANY, MOST
from design_loop.summary import CampaignSummary
from design_loop.views.naming import host_of, unit

#: Frozen sites that are named one by one, and letters of seeds that are written out.
_NAMED, _SEEDS = 8, 160


def space(summary: CampaignSummary) -> str:
    """The space of a campaign and what was wanted in it; rules only where there are any."""
    config = summary.campaign.config
    rules = _mapping(config.get("rules"))
    defects = ", ".join(str(d) for d in rules.get("defects") or ())
    targets = "; ".join(
        f"{t.text()} {unit(summary.campaign, t.property)}".strip() for t in summary.targets
    )
    sentences = [
        f"Defect configurations of {host_of(summary.campaign)} with {_number(rules)} point defects "
        f"({defects}) were searched for {targets}.",
        *_own(_mapping(config.get("properties"))),
        *_rules(rules),
        "Configurations that the host's symmetry group carries into each other count as one.",
    ]
    return " ".join(sentences)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(rules: Mapping[str, Any]) -> str:
    low, high = rules.get("min_defects", 1), rules.get("max_defects", "?")
    # Without a bound of its own, where a share of all sites bounds it.
    return f"{low} or more" if high == MOST else f"{low} to {high}"


def _own(properties: Mapping[str, Any]) -> Iterator[str]:
    """The campaign's own properties: what they are and where their values come from."""
    words = []
    for name, given in properties.items():
        facts = _mapping(given)
        about = [str(facts[key]) for key in ("description", "unit") if facts.get(key)]
        if facts.get("function"):
            of = "labels" if facts.get("from_labels") else "the oracle's results"
            about.append(f"{facts['function']} of {of}")
        if facts.get("column"):
            about.append(f"the dataset's {facts['column']}")
        words.append(f"{name} ({'; '.join(about)})" if about else name)
    if words:
        yield f"Properties defined for this campaign: {', '.join(words)}."


def _rules(rules: Mapping[str, Any]) -> Iterator[str]:
    """A sentence per rule."""
    where, counts = _mapping(rules.get("where")), _mapping(rules.get("counts"))
    shares, apart = _mapping(rules.get("concentration")), _mapping(rules.get("min_separation"))
    frozen, seeds = rules.get("frozen") or (), rules.get("seeds") or ()
    if where:
        words = (f"{name} on {' or '.join(map(str, places))}" for name, places in where.items())
        yield f"Of the sites these were open: {', '.join(words)}."
    if counts:
        words = (f"{_between(*limits)} {name}" for name, limits in counts.items())
        yield f"Each configuration has {', '.join(words)}."
    if shares:
        words = (f"{_percent(*limits)} of {_sites(name)}" for name, limits in shares.items())
        yield f"Changed were {', '.join(words)}."
    if apart:
        pairs = [f"{pair} {least:g} Å" for pair, least in apart.items() if pair != ANY]
        if ANY in apart:
            but = f" ({', '.join(pairs)})" if pairs else ""
            yield f"Any two defects are at least {apart[ANY]:g} Å apart{but}."
        else:
            yield f"Defects are at least so far apart: {', '.join(pairs)}."
    if frozen:
        yield f"Left as they are: {_frozen(frozen)}."
    if seeds:
        yield _seeds(seeds)
    if where or frozen or seeds or any(name[-1:].isdigit() for name in shares):
        yield "Rules about particular sites are kept by one of the equivalent placements."


def _between(low: int, high: int) -> str:
    return f"exactly {low}" if low == high else f"{low} to {high}"


def _percent(low: float, high: float) -> str:
    if low == high:
        return f"{100 * low:g} %"
    return f"{100 * low:g} to {100 * high:g} %" if low else f"at most {100 * high:g} %"


def _sites(group: str) -> str:
    return "all sites" if group == ALL else f"the sites of {group}"


def _frozen(entries: Sequence[Any]) -> str:
    words = [
        f"all within {entry['within']:g} Å of {_site(entry['around'])}"
        if isinstance(entry, Mapping)
        else _site(entry)
        for entry in entries
    ]
    more = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _site(site: Any) -> str:
    return f"site {site}" if isinstance(site, int) else str(site)


def _seeds(seeds: Sequence[str]) -> str:
    text = " | ".join(seeds)
    named = f" ({text})" if len(text) <= _SEEDS else ""
    contained = "the given structure" if len(seeds) == 1 else f"one of {len(seeds)} structures"
    return f"Each configuration contains {contained}{named} and adds to it."
