"""Lists of candidates and samples, and the story of one candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from design_loop.dashboard.campaign_pages import links_of
from design_loop.dashboard.frame import address
from design_loop.dashboard.home import pages
from design_loop.export import campaign_host
from design_loop.ledger import browsing
from design_loop.ledger.reader import LedgerReader
from design_loop.summary import CampaignSummary, summarise_campaign
from design_loop.tables import short_defects
from design_loop.views.cards import candidates_table
from design_loop.views.crystal import CrystalView
from design_loop.views.html import Markup, join, number, table, tag
from design_loop.views.lineage import stages
from design_loop.views.naming import short, unit
from design_loop.views.scene import viewer

#: Lines of a list.
PER_PAGE = 50


def candidate_list(
    ledger: LedgerReader, campaign: str, which: str, round_: int | None, page: int
) -> Markup:
    """A page of the labelled candidates by rank, or of all predicted ones by surrogate error."""
    rounds = [r.number for r in ledger.rounds(campaign) if r.number > 0]
    form = _filters(
        "candidates",
        campaign,
        _select("Show", "which", which, (("labelled", "labelled"), ("predicted", "all predicted"))),
        _round(rounds, round_),
    )
    if which == "predicted":
        listed, total = _predicted(ledger, campaign, round_, page)
    else:
        listed, total = _labelled(ledger, campaign, round_, page)
    turn = pages(
        total, PER_PAGE, page, "campaigns", campaign, "candidates", which=which, round=round_
    )
    return join([tag("h1", "Candidates"), form, turn, listed, turn])


def sample_list(
    ledger: LedgerReader, campaign: str, reason: str | None, round_: int | None, page: int
) -> Markup:
    """A page of the samples as they came, with what became of each."""
    drops = ledger.funnel(campaign).drops
    rounds = [r.number for r in ledger.rounds(campaign) if r.number > 0]
    reasons = [("", "any")] + [(name, f"{name} ({count:,})") for name, count in drops.items()]
    form = _filters(
        "samples",
        campaign,
        _select("Dropped because", "reason", reason or "", reasons),
        _round(rounds, round_),
    )
    with ledger.reading() as connection:
        total, found = browsing.sample_page(
            connection, campaign, round_, reason, PER_PAGE, (page - 1) * PER_PAGE
        )
    rows = [_sample_row(campaign, row) for row in found]
    columns = ("round", "sample", "asked for", "answer", "became", "detail", "adapter")
    listed = table(columns, rows, (2, 3, 4, 5, 6), "samples")
    if not found:
        listed = tag("p", "No such sample.")
    turn = pages(
        total, PER_PAGE, page, "campaigns", campaign, "samples", reason=reason, round=round_
    )
    return join([tag("h1", "Samples"), form, turn, listed, turn])


def candidate_page(
    ledger: LedgerReader, campaign: str, story: browsing.CandidateStory
) -> tuple[str, list[Markup]]:
    """Title and pieces of a candidate's page: structure, values, lineage."""
    summary = summarise_campaign(ledger, campaign)
    candidate = story.candidate
    ranked = next((c for c in summary.candidates if c.key == candidate.key), None)
    words = short_defects(candidate.description)
    host = campaign_host(summary)
    view = CrystalView(host)
    met = ""
    if ranked is not None:
        met = f"rank {ranked.rank} of {len(summary.candidates)}"
        met += ", meets all targets" if ranked.meets else ""
    later = [number_ for number_, *_ in story.selections if number_ > candidate.round]
    found = f" found in round {candidate.round}"
    found += f", selected in round {later[0]}" if later else ""
    where = address("campaigns", campaign, "candidates", candidate.key)
    files = join(
        [
            tag("a", words_, href=f"{where}.{ending}", class_="button",
                download=f"{candidate.key}.{ending}")
            for words_, ending in (("CIF", "cif"), ("POSCAR", "vasp"), ("extxyz", "extxyz"))
        ],
        " ",
    )  # fmt: skip
    return words, [
        tag("h1", words),
        tag("p", tag("code", candidate.key), found, f"; {met}" if met else ""),
        viewer(host, [(candidate.key, words, candidate.configuration)]),
        tag(
            "div",
            tag("div", tag("h2", "Values"), _values(summary, story), tag("p", files)),
            tag("div", tag("h2", "From above"), view.definition(),
                view.draw(candidate.configuration, candidate.description)),
            class_="two",
        ),
        tag("h2", "Lineage"),
        stages(ledger, summary, story),
    ]  # fmt: skip


def structure_file(summary: CampaignSummary, configuration: Mapping[str, Any], fmt: str) -> str:
    """A structure as text of a format (`defects.structures.FORMATS`)."""
    import tempfile
    from pathlib import Path

    from defects.configuration import Configuration
    from defects.structures import write_structure

    host = campaign_host(summary)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structure"
        write_structure(Configuration.from_dict(configuration, host), path, fmt)
        return path.read_text(encoding="utf-8")


def _labelled(
    ledger: LedgerReader, campaign: str, round_: int | None, page: int
) -> tuple[Markup, int]:
    summary = summarise_campaign(ledger, campaign)
    mine = [c for c in summary.candidates if round_ is None or c.round == round_]
    if not mine:
        return tag("p", "No candidate has a label yet."), 0
    shown = mine[(page - 1) * PER_PAGE : page * PER_PAGE]
    return candidates_table(summary, shown, links_of(campaign)[0]), len(mine)


def _predicted(
    ledger: LedgerReader, campaign: str, round_: int | None, page: int
) -> tuple[Markup, int]:
    with ledger.reading() as connection:
        total, found = browsing.screened_page(
            connection, campaign, round_, PER_PAGE, (page - 1) * PER_PAGE
        )
    if not found:
        return tag("p", "Nothing has been predicted yet."), total
    record = ledger.campaign(campaign)
    names = list(dict.fromkeys(name for row in found for name in row.mean))
    columns = ["defects"]
    for name in names:
        u = unit(record, name)
        columns.append(f"{short(name)} ({u})" if u else short(name))
    columns += ["surrogate error", "round", "fate", "key"]
    rows = []
    for row in found:
        fate = "labelled" if row.sources else "selected" if row.selected else "screened out"
        values = [_spread(row.mean.get(n), row.std.get(n)) for n in names]
        link = tag("a", short_defects(row.description),
                   href=address("campaigns", campaign, "candidates", row.key))  # fmt: skip
        key = tag("code", row.key)
        rows.append((link, *values, number(row.surrogate_error), row.round, fate, key))
    words = (0, len(columns) - 2, len(columns) - 1)
    return table(columns, rows, words, "predicted candidates"), total


def _values(summary: CampaignSummary, story: browsing.CandidateStory) -> Markup:
    campaign = summary.campaign
    wanted = {t.property: t.text() for t in summary.targets}
    predictions = [p for _, _, p in story.predictions]
    names = list(
        dict.fromkeys(
            [*wanted, *story.candidate.asked, *(n for p in predictions for n in p.mean),
             *(n for label in story.labels for n in label.properties)]
        )
    )  # fmt: skip
    sources = [(str(label.source), label.properties) for label in story.labels]
    columns = ["property", "target", "asked for", "predicted", *(s for s, _ in sources)]
    rows = []
    for name in names:
        u = unit(campaign, name)
        asked = story.candidate.asked.get(name)
        last = predictions[-1] if predictions else None
        rows.append(
            (
                f"{short(name)} ({u})" if u else short(name),
                wanted.get(name, "").replace(f"{name} ", "").replace(f" {name}", "") or "–",
                number(asked) if isinstance(asked, (int, float)) else "–",
                _spread(last.mean.get(name), last.std.get(name)) if last else "–",
                *(number(values.get(name)) for _, values in sources),
            )
        )
    return table(columns, rows, (0, 1), "values")


def _sample_row(campaign: str, row: browsing.SampleRow) -> Sequence[object]:
    found, sample = row.found, row.found.sample
    became: object = found.drop_reason or ("new candidate" if found.checked else "not checked yet")
    if found.candidate is not None and not found.drop_reason:
        where = address("campaigns", campaign, "candidates", found.candidate)
        became = tag("a", "new candidate", href=where)
    asked = ", ".join(f"{short(k)} {_plain(v)}" for k, v in sample.asked.items())
    text = sample.text if len(sample.text) <= 160 else sample.text[:160] + "…"
    adapter = tag("code", sample.adapter)
    return (row.round, sample.index, asked or "–", tag("code", text, class_="answer"), became,
            found.drop_detail or "", adapter)  # fmt: skip


def _filters(name: str, campaign: str, *fields: Markup) -> Markup:
    go = tag("button", "Show", type="submit")
    where = address("campaigns", campaign, name)
    return tag("form", *fields, go, method="get", action=where, class_="filters")


def _select(words: str, name: str, current: str, options: Sequence[tuple[str, str]]) -> Markup:
    listed = join(
        tag("option", text, value=value, selected="selected" if value == current else None)
        for value, text in options
    )
    return tag("label", words, tag("select", listed, name=name))


def _round(rounds: Sequence[int], current: int | None) -> Markup:
    options = [("", "all"), *((str(n), str(n)) for n in rounds)]
    return _select("Round", "round", "" if current is None else str(current), options)


def _spread(value: float | None, spread: float | None) -> str:
    return number(value) + (f" ± {number(spread)}" if spread is not None else "")


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
