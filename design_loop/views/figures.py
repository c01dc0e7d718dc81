"""The figures of a campaign, each as a drawing with its caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from defects.targets import Target
from design_loop.ledger import Funnel
from design_loop.ledger.reader import LedgerReader
from design_loop.pareto import front_of
from design_loop.summary import CampaignSummary
from design_loop.tables import short_defects
from design_loop.views import plots
from design_loop.views.discovery import discoveries
from design_loop.views.html import Markup, number, tag
from design_loop.views.naming import label_of, short, unit, with_unit
from design_loop.views.quality import overall_quality, round_quality

#: Bars of a drawing: the latest rounds.
LATEST = 20
#: Drop reasons with a colour of their own.
COLOURED = 6


@dataclass(frozen=True)
class Figure:
    """A drawing ready for a page.

    Attributes
    ----------
    name : str
        Stem of its file: letters, digits and dashes.
    drawing : Markup
        SVG without colours of its own; `design_loop.views.style` has them.
    caption : Markup
    wide : bool
        Takes the whole width.
    """

    name: str
    drawing: Markup
    caption: Markup
    wide: bool = False


def band_of(target: Target) -> tuple[float, float] | None:
    """The wanted interval of a target; None for an extreme."""
    return None if target.goal is not None else target.bounds()


def quality_figures(summary: CampaignSummary) -> list[Figure]:
    """Error and calibration of the surrogate by round, for every target's property."""
    figures = []
    for name in dict.fromkeys(t.property for t in summary.targets):
        rounds = round_quality(summary, name)
        overall = overall_quality(summary, name)
        if overall is None:
            continue
        u = unit(summary.campaign, name)
        error = plots.over_rounds(
            {
                "mean spread given": [(r.number, r.spread) for r in rounds],
                "mean absolute error": [(r.number, r.mae) for r in rounds],
            },
            f"{short(name)}, error of the surrogate ({u})" if u else f"{short(name)}, error",
        )
        words = (
            f"Surrogate of {short(name)} on the {overall.n} verified candidates: mean absolute "
            f"error (blue) {number(overall.mae)} {u}, mean spread that it gave (grey) "
            f"{number(overall.spread)} {u}. Verified candidates are chosen, not drawn."
        )
        figures.append(Figure(f"surrogate-error-{name}", error, tag("figcaption", words)))
        covered = plots.over_rounds(
            {"coverage": [(r.number, r.coverage) for r in rounds]},
            f"{short(name)}, share inside 90 % interval",
            level=(0.9, "nominal 0.90"),
            top=1.08,
        )
        words = (
            f"Calibration of {short(name)}: {number(100 * overall.coverage, 0)} % of the oracle's "
            "values lie inside the surrogate's 90 % interval."
        )
        figures.append(Figure(f"coverage-{name}", covered, tag("figcaption", words)))
    return figures


def error_figures(summary: CampaignSummary) -> list[Figure]:
    """Distance of the labels to the targets, and hits, by round."""
    best, middle = [], []
    for found in summary.rounds:
        mine = [c.error for c in summary.candidates if c.labelled_in == found.number]
        errors = [e for e in mine if math.isfinite(e)]
        if errors and found.number > 0:
            best.append((found.number, min(errors)))
            middle.append((found.number, mean(errors)))
    if not best:
        return []
    hits = plots.over_rounds(
        {"hits": [(r.number, float(r.hits)) for r in summary.rounds if r.number > 0]},
        "candidates that meet all targets",
    )
    words = "Candidates that meet all targets, by the round that labelled them."
    figures = [Figure("hits-by-round", hits, tag("figcaption", words))]
    if any(value > 0 for _, value in middle):
        distance = plots.over_rounds(
            {"mean": middle, "best": best}, with_unit("distance to targets", summary)
        )
        words = "Distance of the labels to the targets: mean (grey), best (blue)."
        figures.append(Figure("distance-by-round", distance, tag("figcaption", words)))
    return figures


def discovery_figures(ledger: LedgerReader, summary: CampaignSummary) -> list[Figure]:
    """Hits and best error against oracle calls."""
    found = discoveries(ledger, summary)
    if not found:
        return []
    last = {d.round: d.calls for d in found}
    edges = sorted(last.items())
    hits = plots.over_calls([(d.calls, d.hits) for d in found], "verified hits", edges)
    words = f"{found[-1].hits} verified hits after {found[-1].calls} oracle calls."
    figures = [Figure("hits-by-calls", hits, tag("figcaption", words))]
    known = [(d.calls, d.best) for d in found if math.isfinite(d.best)]
    if any(value > 0 for _, value in known):
        axis = with_unit("best distance to targets", summary)
        best = plots.over_calls(known, axis, edges)
        at_end = f"{number(known[-1][1])} {summary.error_unit}".rstrip()
        words = f"Smallest distance to the targets so far: {at_end} at the end."
        figures.append(Figure("best-by-calls", best, tag("figcaption", words)))
    return figures


def front_figures(summary: CampaignSummary) -> list[Figure]:
    """The Pareto front in every pair of the first three targets; none with one target."""
    names = list(dict.fromkeys(t.property for t in summary.targets))[:3]
    if len(names) < 2 or not summary.candidates:
        return []
    front = front_of(summary)
    bands = {t.property: band_of(t) for t in summary.targets}
    figures = []
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    for a, b in pairs:
        points = [
            plots.Point(
                p["values"][a],
                p["values"][b],
                p["front"],
                f"{p['rank']}. {short_defects(p['description'])}: "
                f"{p['values'][a]:.3f}, {p['values'][b]:.3f}",
                p["meets"],
            )
            for p in front["points"]
        ]
        if not points:
            continue
        campaign = summary.campaign
        drawing = plots.front(
            points, label_of(campaign, a), label_of(campaign, b), bands[a], bands[b]
        )
        count = sum(p.strong for p in points)
        words = (
            f"Pareto front: {count} of {len(points)} labelled candidates (strong) are beaten by no "
            "other in all targets at once; outlined ones meet all targets; the box is what was "
            "wanted. Inside a range all values are equally good."
        )
        figures.append(Figure(f"front-{a}-{b}", drawing, tag("figcaption", words)))
    return figures


def funnel_figures(summary: CampaignSummary) -> list[Figure]:
    """What became of the samples: the stages of all rounds, and the drops of each."""
    rounds = [r for r in summary.rounds if r.number > 0 and r.funnel.checked]
    if not rounds:
        return []
    drawing = plots.stages(_stages(summary.funnel, summary.hits))
    words = "How far the samples of all rounds came, and the share of the stage before."
    if summary.funnel.earlier:
        words += f" {summary.funnel.earlier} were selected by a later round than found them."
    figures = [Figure("funnel", drawing, tag("figcaption", words), wide=True)]
    parts = funnel_parts(summary)
    bars = []
    for found in rounds[-LATEST:]:
        counts = {parts[0]: found.funnel.candidates}
        for reason, n in found.funnel.drops.items():
            part = reason if reason in parts else parts[-1]
            counts[part] = counts.get(part, 0) + n
        bars.append((f"round {found.number}", counts))
    note = "" if len(bars) == len(rounds) else f"The latest {len(bars)} of {len(rounds)} rounds."
    bars_drawing = plots.stacked_bars(bars, parts)
    figures.append(Figure("drops", bars_drawing, tag("figcaption", note), wide=True))
    return figures


def funnel_parts(summary: CampaignSummary) -> list[str]:
    """Names of the parts of the bars of drops, in the order of their colours."""
    reasons = list(summary.funnel.drops)
    parts = ["new candidates", *reasons[:COLOURED]]
    return parts if len(reasons) <= COLOURED else [*parts, "other reasons"]


def _stages(funnel: Funnel, hits: int) -> Sequence[tuple[str, int]]:
    stages = [
        ("samples", funnel.samples),
        ("new candidates", funnel.candidates),
        ("predicted", funnel.predicted),
        ("selected", funnel.selected),
    ]
    if funnel.verified or funnel.failed:
        stages.append(("verified", funnel.verified))
    return [*stages, ("meet all targets", hits)]
