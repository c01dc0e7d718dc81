"""The pages of a campaign but those of its candidates, each as pieces of HTML."""

from __future__ import annotations

from collections.abc import Sequence

from design_loop.dashboard.frame import address
from design_loop.ledger.reader import LedgerReader
from design_loop.summary import CampaignSummary, RankedCandidate, summarise_campaign
from design_loop.views import listings
from design_loop.views.cards import NOTE, cards
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
from design_loop.views.headline import headline_words, targets, tiles
from design_loop.views.html import Markup, join, tag
from design_loop.views.methods import methods
from design_loop.views.parity import parity_figures

#: Cards on the overview.
BEST = 6
#: Messages on the page of the log.
TOLD = 300


def links_of(campaign: str):
    """Addresses of candidates' pages and of their structure files."""

    def link(candidate: RankedCandidate) -> str:
        return address("campaigns", campaign, "candidates", candidate.key)

    def file(candidate: RankedCandidate) -> tuple[str, str]:
        return f"{candidate.key}.cif", link(candidate) + ".cif"

    return link, file


def title(summary: CampaignSummary) -> Markup:
    """Name of the campaign and what was asked for."""
    return tag(
        "header",
        tag("h1", summary.campaign.name),
        tag("p", headline_words(summary)),
        targets(summary),
    )


def overview(ledger: LedgerReader, campaign: str) -> Markup:
    """Figures, best candidates, funnel, rounds, failures."""
    summary = summarise_campaign(ledger, campaign)
    link, file = links_of(campaign)
    parts = [tiles(summary)]
    if summary.candidates:
        more = tag("a", f"All {len(summary.candidates)}",
                   href=address("campaigns", campaign, "candidates"))  # fmt: skip
        parts += [
            tag("h2", "Best candidates"),
            tag("p", NOTE, " ", more, class_="small"),
            cards(summary, summary.candidates[:BEST], link, file),
        ]
    found = discovery_figures(ledger, summary) + error_figures(summary) + front_figures(summary)
    parts.append(_section("What the calls brought", campaign, found))
    funnel = funnel_figures(summary)
    if funnel:
        parts += [
            tag("h2", "What became of the samples"),
            _grid(campaign, funnel[:1]),
            legend(funnel_parts(summary), "p"),
            _grid(campaign, funnel[1:]),
        ]
    if any(r.number > 0 for r in summary.rounds):
        parts += [
            tag("h2", "Rounds"),
            listings.rounds_table(summary),
            tag("details", tag("summary", "Time per step"), listings.times_table(summary)),
            tag("details", tag("summary", "Drops by round"), listings.drops_table(summary)),
        ]
    if not summary.candidates:
        parts.append(tag("p", "No candidate has a label yet.", class_="small"))
    return join(parts)


def agreement(ledger: LedgerReader, campaign: str) -> Markup:
    """Parity plots, and the surrogate round by round."""
    summary = summarise_campaign(ledger, campaign)
    parity, quality = parity_figures(ledger, summary), quality_figures(summary)
    if not parity and not quality:
        return join([tag("h1", "Agreement"), tag("p", "Nothing has been predicted yet.")])
    note = (
        "Strong dots are the quarter with the smallest surrogate error, as published systems show "
        "them; the others are faded. Outlined ones meet all targets, the band is what was wanted. "
        "Choosing the nearest quarter flatters: the same values paired at random stand beside it."
    )
    return join(
        [
            tag("h1", "Agreement"),
            tag("p", note),
            _grid(campaign, parity),
            _section("The surrogate, round by round", campaign, quality),
        ]
    )


def models(ledger: LedgerReader, campaign: str) -> Markup:
    """Adapters and surrogates with what they were made from."""
    adapters, surrogates = ledger.adapters(campaign), ledger.surrogates(campaign)
    parts = [tag("h1", "Models")]
    if adapters:
        parts += [tag("h2", "Adapters"), listings.adapters_table(adapters)]
    else:
        parts.append(tag("p", "This campaign has made no adapter."))
    if surrogates:
        parts += [tag("h2", "Surrogates"), listings.surrogates_table(surrogates)]
    return join(parts)


def settings(ledger: LedgerReader, campaign: str) -> Markup:
    """Method, configuration, versions, the report."""
    summary = summarise_campaign(ledger, campaign)
    file = address("campaigns", campaign, "report.html")
    facts = f"Seed {summary.campaign.seed}, configuration {summary.campaign.config_hash[:16]}."
    save = tag("a", "The report as one HTML file", href=file, download=f"{campaign}.html",
               class_="button")  # fmt: skip
    return join(
        [
            tag("h1", "Settings"),
            tag("p", save),
            tag("h2", "Methods"),
            methods(summary, ledger.surrogates(campaign)),
            tag("h2", listings.CONFIG_TITLE),
            tag("p", facts),
            tag("pre", listings.config_text(summary)),
            tag("h2", "Versions"),
            listings.versions_table(summary),
        ]
    )


def log(ledger: LedgerReader, campaign: str) -> Markup:
    """The latest messages, and what the oracle gave up on."""
    events = ledger.events(campaign)[-TOLD:][::-1]
    failed = ledger.funnel(campaign).failed
    words = f"{failed} candidate{'' if failed == 1 else 's'} failed in the oracle for good."
    listed = listings.events_table(events) if events else tag("p", "No messages.")
    return join([tag("h1", "Log"), tag("p", words), listed])


def figure_named(ledger: LedgerReader, campaign: str, name: str) -> Figure | None:
    """A figure of a campaign by its name."""
    summary = summarise_campaign(ledger, campaign)
    makers = (
        lambda: parity_figures(ledger, summary),
        lambda: quality_figures(summary),
        lambda: discovery_figures(ledger, summary),
        lambda: error_figures(summary),
        lambda: front_figures(summary),
        lambda: funnel_figures(summary),
    )
    found = (figure for make in makers for figure in make() if figure.name == name)
    return next(found, None)


def _section(words: str, campaign: str, figures: Sequence[Figure]) -> Markup:
    if not figures:
        return Markup("")
    return join([tag("h2", words), _grid(campaign, figures)])


def _grid(campaign: str, figures: Sequence[Figure]) -> Markup:
    return tag("div", join(_figure(campaign, f) for f in figures), class_="plots")


def _figure(campaign: str, figure: Figure) -> Markup:
    where = address("campaigns", campaign, "figures", f"{figure.name}.svg")
    save = tag("a", "SVG", href=where, download=f"{figure.name}.svg", class_="save")
    kind = "wide-figure" if figure.wide else None
    return tag("figure", figure.drawing, figure.caption, save, class_=kind)
