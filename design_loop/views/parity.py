"""Parity plots of a campaign: asked for, predicted by the surrogate, labelled by the oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from defects.targets import Target, surrogate_error
from design_loop.ledger import Campaign, overviews
from design_loop.ledger.overviews import Drawn
from design_loop.ledger.reader import LedgerReader
from design_loop.summary import CampaignSummary, RankedCandidate
from design_loop.tables import short_defects
from design_loop.views import plots
from design_loop.views.agreement import Agreement, Fit, agreement, best_share
from design_loop.views.figures import Figure, band_of
from design_loop.views.html import Markup, join, number, tag
from design_loop.views.naming import label_of, short, unit
from design_loop.views.quality import verified

#: Candidates that a plot shows at most, drawn evenly from all; enough to see every shape.
SHOWN = 4000
#: Pair of values -> its colour, ``--h0`` to ``--h2`` of colours.css: blue, orange, violet.
HUES = {"asked-predicted": 0, "predicted-oracle": 1, "asked-oracle": 2}


@dataclass(frozen=True)
class _Pair:
    """One candidate in one plot."""

    x: float
    y: float
    kept: bool
    title: str
    met: bool = False
    spread: float | None = None


def parity_figures(ledger: LedgerReader, summary: CampaignSummary) -> list[Figure]:
    """Three plots per target's property, as far as there are values for them.

    Asked against predicted (all candidates), predicted against oracle and asked against oracle (the
    verified), each in a colour of its own (`HUES`). Strong are the quarter with the smallest
    surrogate error, the others faded, as in the paper's Figure 4.
    """
    with ledger.reading() as connection:
        drawn = overviews.drawn_predictions(connection, summary.campaign.id, SHOWN)
    errors = [_distance(summary.targets, d.asked, d.mean, d.surrogate_error) for d in drawn]
    kept = best_share(errors)
    limit = max((e for e, k in zip(errors, kept, strict=True) if k), default=math.inf)
    figures = []
    for target in summary.targets:
        figures += _of_property(summary, target, drawn, kept, limit)
    return figures


def _of_property(
    summary: CampaignSummary,
    target: Target,
    drawn: Sequence[Drawn],
    kept: Sequence[bool],
    limit: float,
) -> list[Figure]:
    name, campaign = target.property, summary.campaign
    asked = [
        _Pair(float(d.asked[name]), d.mean[name], k, f"{d.key[:8]}, round {d.round}")
        for d, k in zip(drawn, kept, strict=True)
        if _is_number(d.asked.get(name)) and name in d.mean
    ]
    of_all = "" if len(drawn) < SHOWN else f"{len(drawn):,} drawn of {summary.funnel.predicted:,}"
    labelled = [(c, _kept(summary.targets, c, limit)) for c in verified(summary)]
    predicted = [
        _Pair(c.prediction.mean[name], c.properties[name], k, _title(c), c.meets,
              c.prediction.std.get(name))
        for c, k in labelled
        if c.prediction and name in c.prediction.mean and name in c.properties
    ]  # fmt: skip
    wanted = [
        _Pair(float(c.asked[name]), c.properties[name], k, _title(c), c.meets)
        for c, k in labelled
        if _is_number(c.asked.get(name)) and name in c.properties
    ]
    plan = (
        ("asked-predicted", "asked for", "predicted", asked, of_all),
        ("predicted-oracle", "predicted", "oracle", predicted, ""),
        ("asked-oracle", "asked for", "oracle", wanted, ""),
    )
    return [
        _figure(campaign, target, kind, x_words, y_words, pairs, note)
        for kind, x_words, y_words, pairs, note in plan
        if pairs
    ]


def _figure(
    campaign: Campaign,
    target: Target,
    kind: str,
    x_words: str,
    y_words: str,
    pairs: Sequence[_Pair],
    note: str,
) -> Figure:
    name = target.property
    drawing = plots.parity(
        [plots.Point(p.x, p.y, p.kept, p.title, p.met, p.spread) for p in pairs],
        label_of(campaign, name, x_words),
        label_of(campaign, name, y_words),
        band_of(target),
        HUES[kind],
    )
    found = agreement([p.x for p in pairs], [p.y for p in pairs], [p.kept for p in pairs])
    title = f"{short(name)}: {x_words} against {y_words}" + (f"; {note}" if note else "")
    caption = tag("figcaption", tag("p", title), fits_table(found, unit(campaign, name)))
    return Figure(f"{kind}-{name}", drawing, caption)


def fits_table(found: Agreement, u: str) -> Markup:
    """R², RMSE and mean distance of the kept, of all, and of random pairs."""
    columns: list[tuple[str, Fit | None]] = [("", None)]
    if found.kept.n < found.all.n:
        columns += [("kept quarter", found.kept), ("all", found.all)]
        columns += [("random pairs, nearest as many", found.random_kept)]
    else:
        # The oracle sees little but the best quarter: nothing was left out here.
        columns += [("all", found.all)]
    columns.append(("random pairs, all", found.random_all))
    rows = (
        ("candidates", lambda f: f"{f.n:,}"),
        ("R²", lambda f: number(f.r2, 2)),
        (f"RMSE ({u})" if u else "RMSE", lambda f: number(f.rmse)),
        (f"mean distance ({u})" if u else "mean distance", lambda f: number(f.mae)),
    )
    head = tag("tr", join(tag("th", words, scope="col") for words, _ in columns))
    body = join(
        tag("tr", tag("th", words, scope="row"), join(_cell(show, f) for _, f in columns if f))
        for words, show in rows
    )
    return tag("table", tag("thead", head), tag("tbody", body), class_="fits")


def _cell(show: Any, found: Fit) -> Markup:
    return tag("td", show(found), class_="n")


def _kept(targets: Sequence[Target], candidate: RankedCandidate, limit: float) -> bool:
    if candidate.prediction is None:
        return False
    prediction = candidate.prediction
    error = _distance(targets, candidate.asked, prediction.mean, prediction.surrogate_error)
    return error <= limit


def _distance(
    targets: Sequence[Target],
    asked: Mapping[str, Any],
    mean: Mapping[str, float],
    to_targets: float,
) -> float:
    """Surrogate error of a sample: its distance to what *it* was asked for, as in the paper.

    A search asks for nothing; its proposals are judged by the distance to the targets.
    """
    own = [
        Target(property=t.property, value=float(asked[t.property]), weight=t.weight)
        for t in targets
        if _is_number(asked.get(t.property)) and t.property in mean
    ]
    return surrogate_error(own, mean) if own else to_targets


def _title(candidate: RankedCandidate) -> str:
    return f"{candidate.rank}. {short_defects(candidate.description)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
