"""The sections of a report, in the order in which a reader asks."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from statistics import mean

import yaml

from defects.configuration import Configuration
from defects.properties import PROPERTIES
from defects.targets import Target
from design_loop.export import campaign_host, file_stem
from design_loop.ledger import Ledger
from design_loop.progress.state import duration
from design_loop.summary import CampaignSummary, RankedCandidate
from design_loop.tables import SHORT, short_adapter, short_defects, shown_properties
from design_loop.views import charts
from design_loop.views.crystal import CrystalView
from design_loop.views.html import Markup, join, number, table, tag

#: Candidates with a picture and a structure file; more only make the page heavy.
BEST = 24
#: Drop reasons with a colour of their own.
COLOURED = 6


def headline(summary: CampaignSummary) -> Markup:
    """What was asked for, and what came out."""
    campaign, config = summary.campaign, summary.campaign.config
    host = config.get("host", {})
    labelled = len(summary.candidates)
    seconds = sum(r.total_seconds for r in summary.rounds)
    rounds = sum(r.done and r.number > 0 for r in summary.rounds)
    figures = [
        (summary.hits, f"of {labelled} {_kind(summary)} candidates meet all targets"),
        (number(summary.best_error), "eV, smallest distance to the targets"),
        (f"{rounds} of {config.get('rounds', '?')}", "rounds done"),
        (duration(seconds), "in all steps"),
    ]
    tiles = join(
        tag("div", tag("b", value), tag("span", words), class_="tile") for value, words in figures
    )
    error = (campaign.error or "").strip().splitlines()
    state = f"{host.get('name', '?')} {host.get('supercell', '')}, {campaign.state}"
    return tag(
        "header",
        tag("h1", campaign.name),
        tag("p", f"{campaign.id}: {state}, started {campaign.created:%Y-%m-%d %H:%M} UTC"),
        tag("p", tag("strong", error[-1]), class_="error") if error else "",
        tag("ul", join(tag("li", t.text() + _unit(t.property)) for t in summary.targets)),
        tag("div", tiles, class_="tiles"),
    )


def candidates(summary: CampaignSummary) -> Markup:
    """The best candidates with their structures."""
    title = tag("h2", "Best candidates")
    if not summary.candidates:
        return tag("section", title, tag("p", "None has a label yet."))
    host = campaign_host(summary)
    view = CrystalView(host)
    properties = shown_properties(summary)
    shown = summary.candidates[:BEST]
    cards = (_card(c, properties, view, _cif(c, summary)) for c in shown)
    more = "" if len(shown) == len(summary.candidates) else f" of {len(summary.candidates)}"
    note = (
        f"The best {len(shown)}{more}. Seen from above; rings are vacancies, dots with a symbol "
        "are substitutions, dashed ones lie under another atom. Ideal structures, not relaxed."
    )
    cards_grid = tag("div", join(cards), class_="cards")
    return tag("section", title, tag("p", note), view.definition(), cards_grid)


def agreement(summary: CampaignSummary) -> Markup:
    """Asked for, predicted and labelled values against each other."""
    plots = []
    for target in summary.targets:
        plots += _parities(summary, target)
    if not plots:
        return Markup("")
    note = (
        "Every dot is a labelled candidate: filled ones meet all targets, the band is what was "
        "wanted, bars are the surrogate's spread. Only selected candidates are labelled, so the "
        "agreement is better here than over all samples."
    )
    grid = tag("div", join(plots), class_="plots")
    return tag("section", tag("h2", "Asked, predicted, labelled"), tag("p", note), grid)


def progress(summary: CampaignSummary) -> Markup:
    """Rounds: funnel, hits, errors and times."""
    rounds = [r for r in summary.rounds if r.number > 0]
    if not rounds:
        return Markup("")
    best, middle = [], []
    for found in rounds:
        mine = [c.error for c in summary.candidates if c.labelled_in == found.number]
        errors = [e for e in mine if math.isfinite(e)]
        if errors:
            best.append((found.number, min(errors)))
            middle.append((found.number, mean(errors)))
    drawn = []
    if best:
        chart = charts.rounds_chart({"mean": middle, "best": best}, "distance to targets (eV)")
        drawn.append(
            tag("figure", chart, tag("figcaption", "Distance of the labels to the targets"))
        )
        hits = [(r.number, float(r.hits)) for r in rounds]
        chart = charts.rounds_chart({"hits": hits}, "candidates that meet all targets")
        drawn.append(tag("figure", chart, tag("figcaption", "Candidates that meet all targets")))
    return tag(
        "section",
        tag("h2", "Rounds"),
        tag("div", join(drawn), class_="plots"),
        _rounds_table(summary),
        tag("h3", "Time per step"),
        _times_table(summary),
    )


def funnel(summary: CampaignSummary) -> Markup:
    """What became of every sample, with the reasons of the drops."""
    rounds = [r for r in summary.rounds if r.number > 0 and r.funnel.checked]
    if not rounds:
        return Markup("")
    reasons = list(summary.funnel.drops)
    parts = ["new candidates", *reasons[:COLOURED]]
    if len(reasons) > COLOURED:
        parts.append("other reasons")
    bars = []
    for found in rounds[-20:]:
        counts = {"new candidates": found.funnel.candidates}
        for reason, n in found.funnel.drops.items():
            part = reason if reason in parts else "other reasons"
            counts[part] = counts.get(part, 0) + n
        bars.append((f"round {found.number}", counts))
    rows = [
        [reason, *(r.funnel.drops.get(reason, 0) for r in rounds[-20:]), total]
        for reason, total in summary.funnel.drops.items()
    ]
    columns = ["dropped because", *(f"round {r.number}" for r in rounds[-20:]), "all"]
    return tag(
        "section",
        tag("h2", "What became of the samples"),
        charts.legend(parts, "p"),
        charts.stacked_bars(bars, parts),
        table(columns, rows) if rows else "",
    )


def failures(ledger: Ledger, summary: CampaignSummary) -> Markup:
    """What the oracle gave up on, and what went wrong otherwise."""
    events = [e for e in ledger.events(summary.campaign.id) if e.level in ("warning", "error")]
    if not events and not summary.funnel.failed:
        return Markup("")
    count = summary.funnel.failed
    words = f"{count} candidate{'' if count == 1 else 's'} failed in the oracle for good."
    rows = [
        (f"{e.time:%Y-%m-%d %H:%M:%S}", "" if e.round is None else e.round, e.level, e.message)
        for e in events[-50:]
    ]
    listed = table(("time (UTC)", "round", "level", "message"), rows, (0, 2, 3)) if rows else ""
    return tag("section", tag("h2", "Failures"), tag("p", words), listed)


def models(ledger: Ledger, summary: CampaignSummary) -> Markup:
    """Adapters and surrogates by round."""
    adapters = ledger.adapters(summary.campaign.id)
    surrogates = ledger.surrogates(summary.campaign.id)
    if not adapters and not surrogates:
        return Markup("")
    rows = [("adapter", a.round, tag("code", a.name), tag("code", a.path)) for a in adapters]
    rows += [
        ("surrogate", s.round, tag("code", s.version), tag("code", s.path)) for s in surrogates
    ]
    columns = ("kind", "made in round", "name", "folder")
    return tag("section", tag("h2", "Models"), table(columns, rows, (0, 2, 3)))


def settings(summary: CampaignSummary) -> Markup:
    """Everything that is needed to run it again."""
    campaign = summary.campaign
    versions = table(("package", "version"), sorted(campaign.versions.items()), (0, 1))
    text = yaml.safe_dump(dict(campaign.config), sort_keys=False, allow_unicode=True)
    facts = f"Seed {campaign.seed}, configuration {campaign.config_hash[:16]}."
    return tag(
        "section",
        tag("h2", "Settings and versions"),
        tag("p", facts),
        tag("details", tag("summary", "campaign.yaml, all defaults written out"), tag("pre", text)),
        tag("details", tag("summary", "versions"), versions),
    )


def _kind(summary: CampaignSummary) -> str:
    sources = {str(c.source) for c in summary.candidates}
    return "unverified (surrogate's values)" if sources == {"surrogate"} else "verified"


def _unit(name: str) -> str:
    return f" {PROPERTIES[name].unit}" if name in PROPERTIES else ""


def _card(
    candidate: RankedCandidate, properties: Sequence[str], view: CrystalView, cif: tuple[str, str]
) -> Markup:
    wanted = [
        tag(
            "div", tag("dt", SHORT.get(p, p)), tag("dd", number(candidate.properties.get(p)), " eV")
        )
        for p in properties
    ]
    wanted.append(tag("div", tag("dt", "error"), tag("dd", number(candidate.error), " eV")))
    name, address = cif
    met = tag("span", "meets all targets", class_="yes") if candidate.meets else ""
    made = f"round {candidate.round}, {short_adapter(candidate.adapter)}"
    return tag(
        "article",
        view.draw(candidate.configuration, candidate.description),
        tag("h3", f"{candidate.rank}. {short_defects(candidate.description)}"),
        met,
        tag("dl", join(wanted)),
        tag("p", made, " · ", tag("a", "CIF", href=address, download=name), class_="small"),
        class_="card",
    )


def _cif(candidate: RankedCandidate, summary: CampaignSummary) -> tuple[str, str]:
    """Name of a structure file and the address that carries it."""
    from defects.structures import to_structure

    configuration = Configuration.from_dict(candidate.configuration, campaign_host(summary))
    text = to_structure(configuration).to(fmt="cif")
    encoded = base64.b64encode(text.encode()).decode()
    return f"{file_stem(candidate)}.cif", f"data:chemical/x-cif;base64,{encoded}"


def _parities(summary: CampaignSummary, target: Target) -> list[Markup]:
    name = target.property
    label = f"{SHORT.get(name, name)}, {_kind(summary).split()[0]} (eV)"
    plots = []
    predicted, asked = [], []
    for c in summary.candidates:
        if name not in c.properties:
            continue
        value, title = c.properties[name], f"{c.rank}. {short_defects(c.description)}"
        if c.prediction and name in c.prediction.mean:
            guess = charts.Point(
                c.prediction.mean[name], value, c.meets, title, c.prediction.std.get(name)
            )
            predicted.append(guess)
        wanted = c.asked.get(name)
        if isinstance(wanted, (int, float)) and math.isfinite(wanted):
            asked.append(charts.Point(float(wanted), value, c.meets, title))
    kinds = [("asked for", asked)]
    if str(summary.candidates[0].source if summary.candidates else "") == "oracle":
        kinds.append(("predicted", predicted))
    for words, points in kinds:
        if not points:
            continue
        chart = charts.parity(
            points, f"{SHORT.get(name, name)}, {words} (eV)", label, _band(target)
        )
        mae = sum(abs(p.x - p.y) for p in points) / len(points)
        caption = f"{len(points)} candidates, mean distance {mae:.3f} eV"
        plots.append(tag("figure", chart, tag("figcaption", caption)))
    return plots


def _band(target: Target) -> tuple[float, float] | None:
    return None if target.goal is not None else target.bounds()


def _rounds_table(summary: CampaignSummary) -> Markup:
    columns = ("round", "samples", "new", "predicted", "selected", "verified", "failed", "hits",
               "best error (eV)", "adapter")  # fmt: skip
    rows = []
    for r in summary.rounds:
        if r.number == 0:
            continue
        f = r.funnel
        counts = (f.samples, f.candidates, f.predicted, f.selected, f.verified, f.failed, r.hits)
        best = number(r.best_error)
        rows.append((r.number, *counts, best, tag("code", short_adapter(r.adapter))))
    return table(columns, rows, (0, 9))


def _times_table(summary: CampaignSummary) -> Markup:
    rounds = summary.rounds[-20:]
    steps = list(dict.fromkeys(s for r in summary.rounds for s in r.seconds))
    rows = []
    for step in steps:
        cells = (duration(r.seconds[step]) if step in r.seconds else "" for r in rounds)
        total = duration(sum(r.seconds.get(step, 0.0) for r in summary.rounds))
        rows.append((step, *cells, total))
    total = duration(sum(r.total_seconds for r in summary.rounds))
    rows.append(("all", *(duration(r.total_seconds) for r in rounds), total))
    return table(("step", *(f"round {r.number}" for r in rounds), "all"), rows)
