"""The head of a campaign's page: what it is, what was asked for, what came out."""

from __future__ import annotations

from design_loop.progress.state import duration
from design_loop.summary import CampaignSummary
from design_loop.views.html import Markup, join, number, tag
from design_loop.views.naming import STATES, failure, host_of, proposer_of, unit


def headline(summary: CampaignSummary) -> Markup:
    """Name, state, targets, and the four figures that are asked for first."""
    campaign = summary.campaign
    error = failure(campaign)
    state = STATES.get(str(campaign.state), str(campaign.state))
    about = f"{headline_words(summary)}, {state}"
    return tag(
        "header",
        tag("h1", campaign.name),
        tag("p", about),
        tag("p", tag("strong", error), class_="error") if error else "",
        targets(summary),
        tiles(summary),
    )


def headline_words(summary: CampaignSummary) -> str:
    """Id, host, proposer and beginning in a line."""
    campaign = summary.campaign
    return (
        f"{campaign.id}: {host_of(campaign)}, proposer {proposer_of(campaign)}, "
        f"started {campaign.created:%Y-%m-%d %H:%M} UTC"
    )


def targets(summary: CampaignSummary) -> Markup:
    """What was asked for."""
    listed = (
        tag("li", f"{t.text()} {unit(summary.campaign, t.property)}".strip())
        for t in summary.targets
    )
    return tag("ul", join(listed), class_="targets")


def tiles(summary: CampaignSummary) -> Markup:
    """Hits, best distance, rounds, time."""
    labelled = len(summary.candidates)
    sources = {str(c.source) for c in summary.candidates}
    kind = "unverified (surrogate's values)" if sources == {"surrogate"} else "verified"
    rounds = sum(r.done and r.number > 0 for r in summary.rounds)
    seconds = sum(r.total_seconds for r in summary.rounds)
    words = f"{summary.error_unit}, smallest distance to the targets".lstrip(", ")
    figures = [
        (summary.hits, f"of {labelled} {kind} candidates meet all targets"),
        (number(summary.best_error), words),
        (f"{rounds} of {summary.planned}", "rounds done"),
        (duration(seconds), "in all steps"),
    ]
    return tag(
        "div",
        join(
            tag("div", tag("b", value), tag("span", words), class_="tile")
            for value, words in figures
        ),
        class_="tiles",
    )
