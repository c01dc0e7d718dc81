"""The sections of a report, in the order in which a reader asks."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from design_loop.export import campaign_host
from design_loop.ledger.reader import LedgerReader
from design_loop.summary import CampaignSummary
from design_loop.tables import short_defects
from design_loop.views import listings
from design_loop.views.cards import NOTE, candidates_table, cards, cif_inside, no_link
from design_loop.views.changes import changes_table
from design_loop.views.charts import legend
from design_loop.views.figures import (
    Figure,
    discovery_figures,
    error_figures,
    front_figures,
    funnel_figures,
    funnel_parts,
    quality_figures,
)
from design_loop.views.headline import headline as shared_headline
from design_loop.views.html import Markup, join, tag
from design_loop.views.methods import methods as methods_text
from design_loop.views.parity import parity_figures
from design_loop.views.scene import viewer
from design_loop.views.style import standalone

#: Candidates with a picture and a structure file; more only make the page heavy.
BEST = 24
#: Lines of the table of candidates.
LISTED = 50
#: Messages that are told.
TOLD = 50


def headline(summary: CampaignSummary) -> Markup:
    """What was asked for, and what came out."""
    return shared_headline(summary)


def methods(ledger: LedgerReader, summary: CampaignSummary) -> Markup:
    """What was done."""
    text = methods_text(summary, ledger.surrogates(summary.campaign.id))
    return tag("section", tag("h2", "Methods"), text)


def changes(ledger: LedgerReader, summary: CampaignSummary) -> Markup:
    """What people changed: extensions, and where a fork comes from."""
    listed = changes_table(ledger, summary)
    return tag("section", tag("h2", "What was changed"), listed) if listed else Markup("")


def candidates(summary: CampaignSummary) -> Markup:
    """The best candidates with their structures."""
    title = tag("h2", "Best candidates")
    if not summary.candidates:
        return tag("section", title, tag("p", "None has a label yet."))
    shown, listed = summary.candidates[:BEST], summary.candidates[:LISTED]
    more = "" if len(shown) == len(summary.candidates) else f" of {len(summary.candidates)}"
    scenes = [(c.key, f"{c.rank}. {short_defects(c.description)}", c.configuration) for c in shown]
    return tag(
        "section",
        title,
        tag("p", f"The best {len(shown)}{more}. {NOTE}"),
        viewer(campaign_host(summary), scenes),
        cards(summary, shown, no_link, cif_inside(summary)),
        tag("h3", f"The best {len(listed)} as a table"),
        candidates_table(summary, listed, no_link),
    )


def agreement(ledger: LedgerReader, summary: CampaignSummary) -> Markup:
    """Asked for, predicted and labelled values against each other."""
    note = (
        "Every dot is a candidate. Strong ones are the quarter with the smallest surrogate error, "
        "as published systems show them; the others are faded. Outlined ones meet all targets, the "
        "band is what was wanted, bars are the surrogate's spread. Choosing the nearest quarter "
        "flatters: the same values paired at random, and as many of them chosen, stand beside it. "
        "Candidates with an oracle's value were selected for it, not drawn."
    )
    return _figures("Asked, predicted, verified", parity_figures(ledger, summary), note)


def discovery(ledger: LedgerReader, summary: CampaignSummary) -> Markup:
    """Hits and errors over calls and rounds, and the front of several targets."""
    found = discovery_figures(ledger, summary) + error_figures(summary) + front_figures(summary)
    return _figures("What the calls brought", found)


def quality(summary: CampaignSummary) -> Markup:
    """Error and calibration of the surrogate."""
    return _figures("The surrogate, round by round", quality_figures(summary))


def funnel(summary: CampaignSummary) -> Markup:
    """What became of every sample, with the reasons of the drops."""
    figures = funnel_figures(summary)
    if not figures:
        return Markup("")
    return tag(
        "section",
        tag("h2", "What became of the samples"),
        tag("div", join(figure(f) for f in figures[:1]), class_="plots"),
        legend(funnel_parts(summary), "p"),
        tag("div", join(figure(f) for f in figures[1:]), class_="plots"),
        listings.drops_table(summary),
    )


def rounds(summary: CampaignSummary) -> Markup:
    """Rounds and where their time went."""
    if not any(r.number > 0 for r in summary.rounds):
        return Markup("")
    return tag(
        "section",
        tag("h2", "Rounds"),
        listings.rounds_table(summary),
        tag("h3", "Time per step"),
        listings.times_table(summary),
    )


def failures(ledger: LedgerReader, summary: CampaignSummary) -> Markup:
    """What the oracle gave up on, and what went wrong otherwise."""
    events = [e for e in ledger.events(summary.campaign.id) if e.level in ("warning", "error")]
    if not events and not summary.funnel.failed:
        return Markup("")
    count = summary.funnel.failed
    words = f"{count} candidate{'' if count == 1 else 's'} failed in the oracle for good."
    listed = listings.events_table(events[-TOLD:]) if events else ""
    return tag("section", tag("h2", "Failures"), tag("p", words), listed)


def models(ledger: LedgerReader, summary: CampaignSummary) -> Markup:
    """Adapters and surrogates by round."""
    adapters = ledger.adapters(summary.campaign.id)
    surrogates = ledger.surrogates(summary.campaign.id)
    if not adapters and not surrogates:
        return Markup("")
    return tag(
        "section",
        tag("h2", "Models"),
        listings.adapters_table(adapters) if adapters else "",
        listings.surrogates_table(surrogates) if surrogates else "",
    )


def settings(summary: CampaignSummary) -> Markup:
    """Everything that is needed to run it again."""
    campaign = summary.campaign
    facts = f"Seed {campaign.seed}, configuration {campaign.config_hash[:16]}."
    return tag(
        "section",
        tag("h2", "Settings and versions"),
        tag("p", facts),
        tag(
            "details",
            tag("summary", listings.CONFIG_TITLE),
            tag("pre", listings.config_text(summary)),
        ),
        tag("details", tag("summary", "versions"), listings.versions_table(summary)),
    )


def figure(found: Figure) -> Markup:
    """A figure with its own file inside the page."""
    encoded = base64.b64encode(standalone(found).encode()).decode()
    save = tag("a", "SVG", href=f"data:image/svg+xml;base64,{encoded}",
               download=f"{found.name}.svg", class_="save")  # fmt: skip
    kind = "wide-figure" if found.wide else None
    return tag("figure", found.drawing, found.caption, save, class_=kind)


def _figures(title: str, figures: Sequence[Figure], note: str = "") -> Markup:
    if not figures:
        return Markup("")
    grid = tag("div", join(figure(f) for f in figures), class_="plots")
    return tag("section", tag("h2", title), tag("p", note) if note else "", grid)
