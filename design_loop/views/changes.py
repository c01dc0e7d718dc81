"""What people changed about a campaign: where it was forked from, what was added to it."""

from __future__ import annotations

from design_loop.ledger import Amendment, Lineage
from design_loop.ledger.reader import LedgerReader
from design_loop.summary import CampaignSummary
from design_loop.views.html import Markup, table


def changes_table(ledger: LedgerReader, summary: CampaignSummary) -> Markup:
    """A line per change with its time, oldest first; nothing where there was none.

    Who asked for it stays in the ledger: reports are passed on.
    """
    campaign = summary.campaign.id
    lineage, amendments = ledger.lineage(campaign), ledger.amendments(campaign)
    rows = [] if lineage is None else [(lineage.time, "fork", _fork(lineage))]
    rows += [(a.time, "extension", _extension(a)) for a in amendments]
    if not rows:
        return Markup("")
    cells = [(f"{time:%Y-%m-%d %H:%M:%S}", kind, words) for time, kind, words in rows]
    return table(("time (UTC)", "change", "what"), cells, (0, 1, 2), "changes")


def _fork(lineage: Lineage) -> str:
    kept = [
        f"{kind} {name}"
        for kind, name in (("adapter", lineage.adapter), ("surrogate", lineage.surrogate))
        if name
    ]
    models = f"began with its {' and '.join(kept)}" if kept else "made its own first models"
    return (
        f"forked from {lineage.parent} in its round {lineage.rounds}: took over "
        f"{lineage.labels} label{'' if lineage.labels == 1 else 's'}, {models}"
    )


def _extension(amendment: Amendment) -> str:
    parts = []
    if amendment.rounds:
        parts.append(f"{amendment.rounds} more round{'' if amendment.rounds == 1 else 's'}")
    if amendment.budget:
        calls = "oracle calls" if amendment.stage == 1 else f"calls of stage {amendment.stage}"
        first = amendment.first_round
        parts.append(f"up to {amendment.budget} {calls} per round from round {first} on")
    return "; ".join(parts)
