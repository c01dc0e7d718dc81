"""A comparison as one HTML file: its tables, and curves that need no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from design_loop.compare.code import code_note
from design_loop.compare.files import write_whole
from design_loop.compare.outcome import Outcome
from design_loop.compare.tables import LEGEND, WordTable, word_tables
from design_loop.config import CampaignConfig
from design_loop.summary import error_unit
from design_loop.views.charts import Scale, ticks
from design_loop.views.html import Markup, esc, join, table, tag
from design_loop.views.style import page_css

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 320, 66, 14, 10, 44
#: Told apart also by those who see few colours; the second half is dashed.
_COLOURS = ("#0b63b5", "#b8483e", "#157347", "#c98a1b", "#7a5ea8", "#3f8f8a", "#b06a96", "#5a6675")
_STYLE = "".join(
    f".a{i}{{stroke:{colour};fill:{colour};color:{colour}}}" for i, colour in enumerate(_COLOURS)
) + (
    ".curve{fill:none;stroke-width:2}.band{stroke:none;opacity:.13}.dash{stroke-dasharray:5 4}"
    "svg text.tick,svg text.axis{stroke:none}.curves{list-style:none;padding:0;display:flex;"
    "flex-wrap:wrap;gap:4px 18px}.curves svg{width:26px;height:10px;display:inline-block;"
    "margin-right:6px}td:first-child{white-space:nowrap}"
    ".plots{grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}"
)

#: A run as steps: (where, value from there on).
Steps = list[tuple[float, float]]


def write_page(
    outcomes: Sequence[Outcome], config: CampaignConfig, call_hours: float, path: Path
) -> None:
    """Write the page; replaces the file whole or not at all."""
    write_whole(path, build_page(outcomes, config, call_hours))


def build_page(outcomes: Sequence[Outcome], config: CampaignConfig, call_hours: float) -> str:
    """The page as text; `call_hours` as in `design_loop.compare.tables.word_tables`."""
    arms = list(dict.fromkeys(o.arm for o in outcomes))
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{esc(_POLICY)}">'),
            tag("title", f"{config.name}: proposers compared – design-loop"),
            tag("style", Markup(page_css() + _STYLE)),
        ]
    )
    targets = tag("ul", join(tag("li", t.text()) for t in config.targets), class_="targets")
    budget = (
        f"{config.rounds} rounds of {config.generation.samples} proposals and "
        f"{config.selection.budget} oracle calls for every proposer. {LEGEND}"
    )
    note = code_note(outcomes)
    unit = error_unit(config.targets, config.own_properties)
    distance = f"best error ({unit})" if unit else "best error"
    plots = [
        _chart(outcomes, arms, what, x, y_label, x_label)
        for what, y_label in ((_hits, "verified hits"), (_best, distance))
        for x, x_label in ((_by_call, "oracle calls"), (_by_time, "seconds"))
    ]
    body = tag(
        "main",
        tag(
            "header",
            tag("h1", f"{config.name}: proposers compared"),
            targets,
            tag("p", budget),
            tag("p", note) if note else "",
        ),
        join(_section(found) for found in word_tables(outcomes, config, call_hours)),
        tag(
            "section",
            tag("h2", "Curves"),
            tag("p", "Lines are means over the seeds; bands reach from the worst to the best."),
            _legend(arms),
            tag("div", join(tag("figure", plot) for plot in plots), class_="plots"),
        ),
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _section(found: WordTable) -> Markup:
    whole = table(found.columns, found.rows, label=found.title)
    return tag("section", tag("h2", found.title), whole, tag("p", found.note, class_="small"))


def _by_call(outcome: Outcome) -> list[float]:
    return [float(c.number) for c in outcome.calls]


def _by_time(outcome: Outcome) -> list[float]:
    return [c.seconds for c in outcome.calls]


def _hits(outcome: Outcome) -> list[float]:
    total, values = 0, []
    for call in outcome.calls:
        total += call.hit and call.new
        values.append(float(total))
    return values


def _best(outcome: Outcome) -> list[float]:
    best, values = math.inf, []
    for call in outcome.calls:
        best = min(best, call.error)
        values.append(best)
    return values


def at(steps: Steps, where: float) -> float | None:
    """Value of a run at a place; None before its first step."""
    value = None
    for place, here in steps:
        if place > where:
            break
        value = here
    return value


def mean_curve(runs: Sequence[Steps]) -> list[tuple[float, float, float, float]]:
    """(place, mean, lowest, highest) over runs, from where all of them have a value.

    A run that has ended keeps its last value: more it did not find.
    """
    places = sorted({place for steps in runs for place, _ in steps})
    curve = []
    for place in places:
        values = [v for steps in runs if (v := at(steps, place)) is not None]
        if len(values) == len(runs):
            curve.append((place, sum(values) / len(values), min(values), max(values)))
    return curve


def _chart(
    outcomes: Sequence[Outcome],
    arms: Sequence[str],
    what: Callable[[Outcome], list[float]],
    where: Callable[[Outcome], list[float]],
    y_label: str,
    x_label: str,
) -> Markup:
    runs: dict[str, list[Steps]] = {arm: [] for arm in arms}
    for o in outcomes:
        if o.calls:
            runs[o.arm].append(list(zip(where(o), what(o), strict=True)))
    curves = {arm: mean_curve(steps) for arm, steps in runs.items()}
    points = [p for curve in curves.values() for p in curve if math.isfinite(p[3])]
    if not points:
        return tag("p", f"{y_label} against {x_label}: no labels yet")
    x = Scale(0.0, max(p[0] for p in points) or 1.0, _LEFT, _WIDTH - _RIGHT)
    # What is better than the reference of a goal has an error below zero.
    low, high = min(0.0, min(p[2] for p in points)), max(0.0, max(p[3] for p in points))
    room = 0.05 * (high - low) or 1.0
    y = Scale(low - room if low else 0.0, high + room, _HEIGHT - _BOTTOM, _TOP)
    drawn = [_axes(x, y, x_label, y_label)]
    for i, arm in enumerate(arms):
        curve = [p for p in curves[arm] if math.isfinite(p[3])]
        if not curve:
            continue
        lower = _stairs([(x(p[0]), y(p[2])) for p in curve])
        upper = _stairs([(x(p[0]), y(p[3])) for p in curve])
        area = " ".join([*upper, *reversed(lower)])
        middle = " ".join(_stairs([(x(p[0]), y(p[1])) for p in curve]))
        last = f"{arm}: {curve[-1][1]:.3g} [{curve[-1][2]:.3g}, {curve[-1][3]:.3g}]"
        drawn.append(Markup(f'<polygon class="band {_class(i)}" points="{area}"/>'))
        drawn.append(
            Markup(
                f'<polyline class="curve {_class(i)}" points="{middle}">'
                f"<title>{esc(last)}</title></polyline>"
            )
        )
    label = f"{y_label} against {x_label}"
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    return tag("svg", join(drawn), viewBox=box, role="img", aria_label=label, class_="plot")


def _class(i: int) -> str:
    return f"a{i % len(_COLOURS)}" + (" dash" if i >= len(_COLOURS) // 2 else "")


def _stairs(places: Sequence[tuple[float, float]]) -> list[str]:
    """A step line: what is found stays found until the next call."""
    line: list[str] = []
    for i, (px, py) in enumerate(places):
        if i:
            line.append(f"{px:.1f},{places[i - 1][1]:.1f}")
        line.append(f"{px:.1f},{py:.1f}")
    return line


def _axes(x: Scale, y: Scale, x_label: str, y_label: str) -> Markup:
    drawn = []
    for value in ticks(x.low, x.high):
        drawn.append(_line(x(value), y.start, x(value), y.end))
        drawn.append(_text(x(value), y.start + 15, f"{value:g}", "tick"))
    for value in ticks(y.low, y.high):
        drawn.append(_line(x.start, y(value), x.end, y(value)))
        drawn.append(_text(x.start - 6, y(value) + 4, f"{value:g}", "row tick"))
    drawn.append(_text((x.start + x.end) / 2, y.start + 34, x_label, "axis"))
    middle = (y.start + y.end) / 2
    turned = f'<text class="axis" transform="translate(13 {middle:.1f}) rotate(-90)">'
    return join([*drawn, Markup(f"{turned}{esc(y_label)}</text>")])


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return Markup(f'<line class="grid" {place}/>')


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{esc(text)}</text>')


def _legend(arms: Sequence[str]) -> Markup:
    keys = (
        tag(
            "li",
            Markup(
                f'<svg viewBox="0 0 26 10"><line class="curve {_class(i)}" x1="0" y1="5" x2="26" '
                'y2="5"/></svg>'
            ),
            arm,
        )
        for i, arm in enumerate(arms)
    )
    return tag("ul", join(keys), class_="curves")
