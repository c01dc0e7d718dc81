"""Rules beyond the allowed defects and their number, as lines of a request."""

from __future__ import annotations

from defects.rules import Near, Rules
from defects.rules.schema import ALL

#: Frozen sites that are named one by one; of more only their number is said.
_NAMED = 16


def rule_lines(rules: Rules) -> list[str]:
    """One line per kind of rule; none for plain rules, whose requests stay as they always were."""
    lines = []
    if rules.counts:
        counts = (f"{name} {low} to {high}" for name, (low, high) in rules.counts.items())
        lines.append(f"Number of each: {', '.join(counts)}")
    shares = {n: s for n, s in rules.concentration.items() if n != ALL}
    if shares:
        texts = (f"{name} {low:g} to {high:g}" for name, (low, high) in shares.items())
        lines.append(f"Share of sites: {', '.join(texts)}")
    if rules.where:
        places = (f"{name} {' or '.join(places)}" for name, places in rules.where.items())
        lines.append(f"Places: {', '.join(places)}")
    if rules.min_separation:
        texts = (f"{pair} {distance:g}" for pair, distance in rules.min_separation.items())
        lines.append(f"Separation: {', '.join(texts)}")
    if rules.frozen:
        named = ", ".join(
            f"within {e.within:g} of {e.around}" if isinstance(e, Near) else str(e)
            for e in rules.frozen
        )
        few = len(rules.frozen) <= _NAMED
        lines.append(f"Frozen: {named if few else f'{len(rules.frozen)} sites'}")
    if rules.seeds:
        lines.append(f"Contains: {' or '.join(rules.seeds)}")
    return lines
