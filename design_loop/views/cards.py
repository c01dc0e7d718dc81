"""Candidates as cards with a drawing, and as lines of a table."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from defects.configuration import Configuration
from design_loop.export import campaign_host, file_stem
from design_loop.summary import CampaignSummary, RankedCandidate
from design_loop.tables import short_adapter, short_defects, shown_properties
from design_loop.views.crystal import CrystalView
from design_loop.views.html import Markup, join, number, table, tag
from design_loop.views.naming import short, unit

#: Address of a candidate's own page, or None where there is none.
Link = Callable[[RankedCandidate], str | None]

NOTE = (
    "Seen from above; rings are vacancies, dots with a symbol are substitutions, dashed ones lie "
    "under another atom. Ideal structures, not relaxed."
)


def no_link(candidate: RankedCandidate) -> str | None:
    """Candidates have no pages of their own."""
    return None


def cards(
    summary: CampaignSummary,
    shown: Sequence[RankedCandidate],
    link: Link,
    file: Callable[[RankedCandidate], tuple[str, str]],
) -> Markup:
    """Cards of some candidates.

    Parameters
    ----------
    summary
    shown
        At least one.
    link
        Address of a candidate's page.
    file
        Name of a candidate's structure file, and its address.
    """
    view = CrystalView(campaign_host(summary))
    properties = shown_properties(summary)
    drawn = [_card(summary, c, properties, view, link(c), file(c)) for c in shown]
    return join([view.definition(), tag("div", join(drawn), class_="cards")])


def candidates_table(
    summary: CampaignSummary, shown: Sequence[RankedCandidate], link: Link
) -> Markup:
    """Some labelled candidates: labels with what was predicted, and where they come from."""
    properties = shown_properties(summary)
    columns: list[object] = ["#", "defects"]
    for name in properties:
        u = unit(summary.campaign, name)
        columns += [f"{short(name)} ({u})" if u else short(name), "predicted"]
    columns += ["meets", "distance", "round", "adapter", "key"]
    words = (1, len(columns) - 5, len(columns) - 2, len(columns) - 1)
    rows = []
    for c in shown:
        address = link(c)
        name = short_defects(c.description)
        cells: list[object] = [c.rank, tag("a", name, href=address) if address else name]
        for p in properties:
            cells += [number(c.properties.get(p)), _predicted(c, p)]
        meets = tag("span", "yes", class_="yes") if c.meets else "no"
        made = tag("code", short_adapter(c.adapter)) if c.adapter else "–"
        cells += [meets, number(c.error), c.round, made, tag("code", c.key)]
        rows.append(cells)
    return table([str(c) for c in columns], rows, words, "candidates")


def cif_text(summary: CampaignSummary, configuration: Mapping[str, Any]) -> str:
    """A structure as a CIF file."""
    from defects.structures import to_structure

    host = campaign_host(summary)
    return str(to_structure(Configuration.from_dict(configuration, host)).to(fmt="cif"))


def cif_inside(summary: CampaignSummary) -> Callable[[RankedCandidate], tuple[str, str]]:
    """Give structure files that are carried in the page itself."""

    def file(candidate: RankedCandidate) -> tuple[str, str]:
        encoded = base64.b64encode(cif_text(summary, candidate.configuration).encode()).decode()
        return f"{file_stem(candidate)}.cif", f"data:chemical/x-cif;base64,{encoded}"

    return file


def _card(
    summary: CampaignSummary,
    candidate: RankedCandidate,
    properties: Sequence[str],
    view: CrystalView,
    address: str | None,
    file: tuple[str, str],
) -> Markup:
    wanted = [
        tag(
            "div",
            tag("dt", short(p)),
            tag("dd", number(candidate.properties.get(p)), " ", unit(summary.campaign, p)),
        )
        for p in properties
    ]
    distance = tag("dd", number(candidate.error), " ", summary.error_unit)
    wanted.append(tag("div", tag("dt", "distance"), distance))
    title: object = f"{candidate.rank}. {short_defects(candidate.description)}"
    if address:
        title = tag("a", title, href=address)
    met = tag("span", "meets all targets", class_="yes") if candidate.meets else ""
    made = f"round {candidate.round}"
    if candidate.adapter:
        made += f", {short_adapter(candidate.adapter)}"
    name, where = file
    return tag(
        "article",
        view.draw(candidate.configuration, candidate.description),
        tag("h3", title),
        met,
        tag("dl", join(wanted)),
        tag("p", made, " · ", tag("a", "CIF", href=where, download=name), class_="small"),
        class_="card",
    )


def _predicted(candidate: RankedCandidate, name: str) -> str:
    prediction = candidate.prediction
    if prediction is None or name not in prediction.mean:
        return "–"
    spread = prediction.std.get(name)
    return number(prediction.mean[name]) + (f" ± {number(spread)}" if spread is not None else "")
