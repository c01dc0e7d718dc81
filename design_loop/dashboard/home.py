"""The list of campaigns."""

from __future__ import annotations

from collections.abc import Sequence

from defects.targets import meets_all
from design_loop.dashboard.frame import address
from design_loop.dashboard.store import Store
from design_loop.ledger import Amendment, Campaign, Source, overviews, queries
from design_loop.ledger.reader import LedgerReader
from design_loop.pace import planned_rounds
from design_loop.summary import campaign_targets
from design_loop.views.html import Markup, join, tag
from design_loop.views.naming import STATES, failure, host_of, proposer_of, unit

#: Campaigns on a page.
PER_PAGE = 20


def campaign_list(store: Store, ledger: LedgerReader, number: int) -> Markup:
    """A page of the campaigns, the newest first; `number` counts from 1."""
    campaigns = ledger.campaigns()
    if not campaigns:
        return nothing_yet("This ledger holds no campaign yet.")
    first = (number - 1) * PER_PAGE
    shown = campaigns[first : first + PER_PAGE]
    with ledger.reading() as connection:
        counts = overviews.campaign_counts(connection, [c.id for c in shown])
        stamps = {c.id: overviews.stamp(connection, c.id) for c in shown}
        added = {c.id: queries.amendments(connection, c.id) for c in shown}
    rows = [
        store.piece(
            (c.id, stamps[c.id], "row"),
            lambda c=c: _row(ledger, c, counts[c.id], added[c.id]),  # type: ignore[misc]
        )
        for c in shown
    ]
    return join([tag("div", join(rows), class_="list"), pages(len(campaigns), PER_PAGE, number)])


def nothing_yet(words: str) -> Markup:
    """What there is to do where there is nothing to see."""
    return join(
        [
            tag("p", words),
            tag("p", "Start one, and this page shows it: ",
                tag("code", "design-loop campaign run quickstart")),
        ]
    )  # fmt: skip


def pages(total: int, per_page: int, number: int, *parts: str, **query: object) -> Markup:
    """Links to the pages before and after; nothing where there is one page."""
    last = max((total - 1) // per_page + 1, 1)
    if last == 1:
        return Markup("")
    links: list[Markup] = []
    for target, words in (
        (1, "First"),
        (number - 1, "Previous"),
        (number + 1, "Next"),
        (last, "Last"),
    ):
        if 1 <= target <= last and target != number:
            where = address(*parts, **{**query, "page": target})
            links.append(tag("a", words, href=where if parts else f"{address()}/?page={target}",
                             class_="button"))  # fmt: skip
    first = (number - 1) * per_page + 1
    said = f"{first:,}–{min(number * per_page, total):,} of {total:,}"
    return tag("nav", tag("span", said), join(links), class_="pages", aria_label="pages")


def _row(
    ledger: LedgerReader,
    campaign: Campaign,
    counts: overviews.CampaignCounts,
    amendments: Sequence[Amendment],
) -> Markup:
    targets = campaign_targets(campaign)
    labels = ledger.labels(campaign.id, Source.ORACLE) or ledger.labels(campaign.id)
    hits = sum(meets_all(targets, label.properties) for label in labels)
    state = str(campaign.state)
    badge = tag("b", STATES.get(state, state), class_=f"badge {state if state in STATES else ''}")
    about = f"{host_of(campaign)}, {proposer_of(campaign)}, {campaign.created:%Y-%m-%d %H:%M} UTC"
    link = tag("a", campaign.id, href=address("campaigns", campaign.id))
    wanted = (tag("li", f"{t.text()} {unit(campaign, t.property)}".strip()) for t in targets)
    error = failure(campaign)
    facts = (
        ("rounds", f"{counts.rounds_done} of {planned_rounds(campaign.config, amendments)}"),
        ("labelled", f"{counts.labels:,}"),
        ("meet all", f"{hits:,}"),
    )
    return tag(
        "article",
        tag("div", tag("h2", link), tag("p", about, class_="small"), badge),
        tag("ul", join(wanted), class_="targets"),
        join(tag("dl", tag("dt", name), tag("dd", value)) for name, value in facts),
        tag("p", error, class_="error") if error else "",
        class_="row",
    )
