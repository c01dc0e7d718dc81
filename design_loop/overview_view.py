"""The overview of a campaign for people, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from design_loop.export import candidate_dict
from design_loop.ledger import Amendment, CampaignState
from design_loop.overview import Overview, next_steps
from design_loop.progress.state import duration, in_unit
from design_loop.tables import LATEST, candidates_table, rounds_table

_STATES = {"running": "cyan", "done": "green", "failed": "red"}


def overview_page(seen: Overview, top: int) -> RenderableType:
    """One screen: what it is, where it stands, what it found, where everything lies.

    Parameters
    ----------
    seen : Overview
    top : int
        Best candidates to list.
    """
    style = _STATES.get(str(seen.summary.campaign.state), "yellow")
    heading = Text.assemble((seen.summary.campaign.id, "bold"), "  ", (seen.standing, style))
    parts: list[RenderableType] = [heading, _pairs(_lines(seen))]
    rounds = [r for r in seen.summary.rounds if r.number > 0]
    if rounds:
        parts.append(_dense(rounds_table(rounds[-LATEST:], seen.summary.error_unit)))
    if top and seen.summary.candidates:
        parts.append(_dense(candidates_table(seen.summary, top)))
    return Group(*parts, Text(""), _pairs(seen.files.items()))


def commands(seen: Overview, options: str) -> list[str]:
    """Lines of what to do next, each a command that can be copied; `options` say where it is."""
    return [f"to {what}: design-loop {command}{options}" for what, command in next_steps(seen)]


def _pairs(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=9)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def _dense(table: Table) -> Table:
    """Without rules between the lines, under a blank one."""
    table.box, table.title = None, f"\n{table.title}"
    table.padding = (0, 2, 0, 0)
    table.header_style = "dim"
    return table


def _lines(seen: Overview) -> Iterator[tuple[str, RenderableType]]:
    summary, campaign = seen.summary, seen.summary.campaign
    config = campaign.config
    host = config.get("host", {})
    if campaign.error:
        failed = campaign.state is CampaignState.FAILED
        last = campaign.error.strip().splitlines()[-1]
        yield ("error" if failed else "why"), Text(last, style="red" if failed else "")
    proposer = config.get("proposer", {}).get("kind", "llm")
    oracle = config.get("oracle", {}).get("kind", "?")
    yield (
        "what",
        f"{host.get('name', '?')} {host.get('supercell', '')}, proposer {proposer}, "
        f"oracle {oracle}, begun {campaign.created:%Y-%m-%d %H:%M} UTC",
    )
    yield "targets", "; ".join(t.text() for t in summary.targets)
    if seen.lineage is not None:
        kept = [name for name in (seen.lineage.adapter, seen.lineage.surrogate) if name]
        models = f", began with {' and '.join(kept)}" if kept else ""
        yield "lineage", f"forked from {seen.lineage.parent}: {seen.lineage.labels} labels{models}"
    if seen.forks:
        yield "forks", ", ".join(seen.forks)
    yield "rounds", _progress(seen)
    for amendment in seen.amendments:
        yield "added", _added(amendment)
    if seen.budget:
        failed = f", {summary.funnel.failed} of them failed" if summary.funnel.failed else ""
        yield "budget", f"{seen.calls} of {seen.budget} oracle calls{failed}"
    best = ""
    if summary.best_error is not None:
        best = f", best error {in_unit(summary.best_error, summary.error_unit)}"
    yield "hits", f"{summary.hits} of {len(summary.candidates)} labelled meet all targets{best}"
    funnel = summary.funnel
    repeats = sum(n for reason, n in funnel.drops.items() if reason.startswith("duplicate_in"))
    if funnel.samples:
        later = f" ({funnel.earlier} by a later round)" if funnel.earlier else ""
        yield (
            "funnel",
            f"{funnel.samples} samples, {funnel.candidates + repeats} valid, {funnel.candidates} "
            f"new, {funnel.selected} selected{later}, {funnel.verified} verified, {summary.hits} "
            "hits",
        )
    if funnel.drops:
        yield "dropped", ", ".join(f"{n} {reason}" for reason, n in funnel.drops.items())
    if seen.models:
        yield "models", ", ".join(f"{kind} {name}" for kind, name in seen.models.items())
    if seen.mae:
        told = (f"{name} {value:.3g}" for name, value in seen.mae.items())
        yield "", f"cross-validated error of the surrogate: {', '.join(told)}"
    if seen.diversity.get("valid"):
        d = seen.diversity
        yield (
            "diversity",
            f"{d['unique']:.0%} different crystals, {d['compositions']:.1f} compositions, "
            f"{d['repeated']:.0%} repeats of earlier rounds",
        )
    if len(seen.settings) > 1:
        low, high = (f(a["temperature"] for a in seen.settings) for f in (min, max))
        yield "settings", f"{len(seen.settings)} side by side, temperature {low:.2f} to {high:.2f}"
    for event in seen.warnings:
        where = "" if event.round is None else f"round {event.round}: "
        yield str(event.level), Text(where + event.message, style="yellow")


def _added(amendment: Amendment) -> str:
    parts = [] if amendment.rounds is None else [f"{amendment.rounds} rounds"]
    if amendment.budget is not None:
        calls = "oracle calls" if amendment.stage == 1 else f"calls of stage {amendment.stage}"
        first = amendment.first_round
        parts.append(f"from round {first} on {amendment.budget} {calls} per round")
    return f"{', '.join(parts)}, by {amendment.by}, {amendment.time:%Y-%m-%d %H:%M} UTC"


def _progress(seen: Overview) -> str:
    text = f"{seen.rounds_done} of {seen.rounds} done, {duration(seen.seconds)} in all steps"
    if seen.step is not None:
        text += f"; round {seen.round} is at {seen.step.name}"
    if seen.remaining:
        text += f", about {duration(seen.remaining)} left"
    return text


def overview_dict(seen: Overview, top: int) -> dict[str, Any]:
    """Plain data; infinite errors are left out by `candidate_dict`."""
    summary, campaign = seen.summary, seen.summary.campaign
    return {
        "id": campaign.id,
        "name": campaign.name,
        "state": str(campaign.state),
        "driver": None if seen.driver is None else {k: seen.driver[k] for k in ("host", "pid")},
        "asked": seen.asked,
        "error": campaign.error,
        "host": campaign.config.get("host"),
        "seed": campaign.seed,
        "workdir": campaign.workdir,
        "created": campaign.created.isoformat(),
        "updated": campaign.updated.isoformat(),
        "versions": dict(campaign.versions),
        "targets": [t.text() for t in summary.targets],
        "amendments": [asdict(a) | {"time": a.time.isoformat()} for a in seen.amendments],
        "lineage": None
        if seen.lineage is None
        else asdict(seen.lineage) | {"time": seen.lineage.time.isoformat()},
        "forks": list(seen.forks),
        "rounds_done": seen.rounds_done,
        "rounds_in_all": seen.rounds,
        "step": None
        if seen.step is None
        else {"round": seen.step.round, "name": seen.step.name, "state": str(seen.step.state)},
        "seconds": seen.seconds,
        "seconds_left": seen.remaining,
        "oracle_calls": seen.calls,
        "oracle_budget": seen.budget,
        "hits": summary.hits,
        "best_error": summary.best_error,
        "funnel": asdict(summary.funnel),
        "rounds": [asdict(r) for r in summary.rounds],
        "models": dict(seen.models),
        "surrogate_mae": dict(seen.mae),
        "settings": [dict(row) for row in seen.settings],
        "diversity": dict(seen.diversity),
        "warnings": [
            {"time": e.time.isoformat(), "round": e.round, "level": e.level, "message": e.message}
            for e in seen.warnings
        ],
        "candidates": [candidate_dict(c) for c in summary.candidates[:top]],
        "files": dict(seen.files),
        "next": [f"design-loop {command}" for _, command in next_steps(seen)],
    }
