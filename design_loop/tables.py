"""Tables for people: candidates, rounds and campaigns, for any terminal width."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from defects.properties import Property, unit_of
from design_loop.progress.state import duration, in_unit

if TYPE_CHECKING:
    from design_loop.ledger import Campaign
    from design_loop.summary import CampaignSummary, RankedCandidate, RoundSummary

#: Property names that fit a column.
SHORT = {
    "homo_lumo_gap": "gap",
    "formation_energy": "E_form",
    "formation_energy_per_site": "E_form/site",
    "energy_per_atom": "E/atom",
    "fermi_level": "E_Fermi",
}
#: Shown beside the targets' own properties where they are known.
ALWAYS = ("homo_lumo_gap", "formation_energy_per_site")
#: Rounds that get a column of their own.
LATEST = 6


def short_defects(description: str) -> str:
    """``Se_S+V_S+V_S`` as ``Se_S + 2 V_S``."""
    counts = Counter(description.split("+"))
    return " + ".join(name if n == 1 else f"{n} {name}" for name, n in sorted(counts.items()))


def heading(name: str, own: Mapping[str, Property] | None = None) -> str:
    """Column heading of a property with its unit on a second line: ``gap``, ``(eV)``."""
    unit = unit_of(name, own)
    return SHORT.get(name, name) + (f"\n({unit})" if unit else "")


def short_adapter(name: str | None) -> str:
    """The round and the first digits of the content hash: ``r002-9f3a1c``."""
    if name is None:
        return "-"
    head, _, tail = name.rpartition("-")
    return f"{head}-{tail[:6]}" if head else name


def shown_properties(summary: CampaignSummary) -> tuple[str, ...]:
    """The targets' properties, and those that are always of interest where they are labelled."""
    wanted = [t.property for t in summary.targets]
    labelled = {name for c in summary.candidates for name in c.properties}
    return tuple(dict.fromkeys([*wanted, *(p for p in ALWAYS if p in labelled)]))


def candidates_table(summary: CampaignSummary, limit: int | None = 10) -> Table:
    """The best labelled candidates of a campaign.

    Parameters
    ----------
    summary
    limit
        How many; None for all.
    """
    shown = summary.candidates[:limit]
    unverified = {str(c.source) for c in shown} == {"surrogate"}
    kind = "Candidates with the surrogate's values" if unverified else "Verified candidates"
    more = f", best {len(shown)} of {len(summary.candidates)}" if shown else ": none yet"
    table = Table(
        title=kind + more,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("#", justify="right")
    table.add_column("defects", overflow="fold", min_width=12)
    properties = shown_properties(summary)
    for name in properties:
        table.add_column(heading(name, summary.own), justify="right")
    table.add_column("meets\ntargets", justify="center")
    unit = summary.error_unit
    table.add_column("error" + (f"\n({unit})" if unit else ""), justify="right")
    table.add_column("round", justify="right")
    table.add_column("adapter", no_wrap=True)
    for candidate in shown:
        table.add_row(*_candidate_row(candidate, properties))
    return table


def _candidate_row(candidate: RankedCandidate, properties: Sequence[str]) -> list[Text | str]:
    values = [
        f"{candidate.properties[name]:.3f}" if name in candidate.properties else "-"
        for name in properties
    ]
    return [
        str(candidate.rank),
        short_defects(candidate.description),
        *values,
        Text("yes", style="green") if candidate.meets else Text("no", style="dim"),
        f"{candidate.error:.3f}" if math.isfinite(candidate.error) else "-",
        str(candidate.round),
        short_adapter(candidate.adapter),
    ]


def pareto_tables(
    front: Mapping[str, Any],
    own: Mapping[str, Property] | None = None,
    limit: int | None = None,
) -> list[Table]:
    """The Pareto front (`design_loop.pareto`): its candidates, and how it grew round by round."""
    names = [o["property"] for o in front["objectives"]]
    on = [p for p in front["points"] if p["front"]]
    first = front["objectives"][0]["property"] if names else ""
    shown = sorted(on, key=lambda p: (p["values"][first], p["key"]))[:limit]
    points = plain_table(f"Pareto front, {len(on)} of {len(front['points'])} labelled candidates")
    points.add_column("rank", justify="right")
    points.add_column("defects", overflow="fold", min_width=12)
    for name in names:
        points.add_column(heading(name, own), justify="right")
    points.add_column("meets\ntargets", justify="center")
    points.add_column("since\nround", justify="right")
    for p in shown:
        points.add_row(
            str(p["rank"]),
            short_defects(p["description"]),
            *(f"{p['values'][name]:.3f}" for name in names),
            Text("yes", style="green") if p["meets"] else Text("no", style="dim"),
            str(p["joined"]),
        )
    growth = plain_table("Growth of the front")
    for name in ("round", "candidates on it", "hypervolume"):
        growth.add_column(name, justify="right")
    for r in front["rounds"]:
        growth.add_row(str(r["number"]), str(len(r["front"])), f"{r['hypervolume']:.4g}")
    return [points, growth]


def rounds_table(rounds: Sequence[RoundSummary], unit: str) -> Table:
    """Rounds with their funnel, hits and duration; errors are in `unit`."""
    table = plain_table("Rounds")
    for name in ("round", "samples", "new", "verified", "failed", "hits", "best error", "time"):
        table.add_column(name, justify="right")
    for found in rounds:
        funnel = found.funnel
        counts = (funnel.samples, funnel.candidates, funnel.verified, funnel.failed, found.hits)
        table.add_row(
            str(found.number) + ("" if found.done else " (running)"),
            *(str(n) if found.number else "" for n in counts),
            "" if found.best_error is None else in_unit(found.best_error, unit),
            duration(found.total_seconds),
        )
    return table


def drops_table(summary: CampaignSummary) -> Table:
    """Why samples were dropped, in the latest rounds and in all."""
    table = plain_table("Dropped samples")
    table.add_column("reason")
    rounds = [r for r in summary.rounds if r.number > 0][-LATEST:]
    for found in rounds:
        table.add_column(f"round {found.number}", justify="right")
    table.add_column("all", justify="right")
    for reason, total in summary.funnel.drops.items():
        cells = (str(r.funnel.drops.get(reason, 0)) for r in rounds)
        table.add_row(reason, *cells, str(total))
    return table


def times_table(rounds: Sequence[RoundSummary]) -> Table:
    """Where the time went: every step of the latest rounds, and of all."""
    table = plain_table("Time per step")
    table.add_column("step")
    latest = rounds[-LATEST:]
    for found in latest:
        table.add_column(f"round {found.number}", justify="right")
    table.add_column("all", justify="right")
    for name in dict.fromkeys(name for r in rounds for name in r.seconds):
        total = sum(r.seconds.get(name, 0.0) for r in rounds)
        cells = (duration(r.seconds[name]) if name in r.seconds else "" for r in latest)
        table.add_row(name, *cells, duration(total))
    return table


def plain_table(title: str | None) -> Table:
    """A table as all of these are."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )


def campaigns_table(campaigns: Sequence[Campaign]) -> Table:
    """Campaigns of a ledger."""
    table = plain_table(None)
    for name in ("id", "state", "host", "created (UTC)", "error"):
        table.add_column(name, overflow="fold")
    for campaign in campaigns:
        host = campaign.config.get("host", {})
        error = (campaign.error or "").strip().splitlines()
        table.add_row(
            campaign.id,
            str(campaign.state),
            f"{host.get('name', '?')} {host.get('supercell', '')}",
            f"{campaign.created:%Y-%m-%d %H:%M}",
            Text(error[-1] if error else "", style="red"),
        )
    return table


def dataset_tables(facts: dict[str, Any]) -> list[Table]:
    """What `defects.datasets.describe` found."""
    head = plain_table(f"{facts['source']}")
    head.add_column("")
    head.add_column("", overflow="fold")
    sizes = ", ".join(f"{count} with {n}" for n, count in facts["n_defects"].items())
    kinds = ", ".join(f"{name} in {count}" for name, count in facts["defects"].items())
    for name, value in (
        ("host", f"{facts['host']}, {facts['n_sites']} sites"),
        ("structures", f"{facts['structures']}, {facts['labelled']} labelled"),
        ("symmetry classes", str(facts["classes"])),
        ("compositions", str(facts["compositions"])),
        ("defects", f"{kinds}; {sizes}"),
        ("pristine", ", ".join(f"{k} {v}" for k, v in facts["pristine"].items()) or "unknown"),
        (
            "potentials (eV)",
            ", ".join(f"{k} {v:.4f}" for k, v in facts["chemical_potentials"].items()) or "unknown",
        ),
    ):
        head.add_row(name, value)
    values = plain_table("Properties")
    for name in ("property", "unit"):
        values.add_column(name)
    for name in ("labels", "mean", "std", "min", "max"):
        values.add_column(name, justify="right")
    for name, stats in facts["properties"].items():
        numbers = (f"{stats[k]:.4g}" for k in ("mean", "std", "min", "max"))
        values.add_row(name, stats["unit"], str(stats["n"]), *numbers)
    return [head, values]


def metrics_table(manifest: dict[str, Any]) -> Table:
    """Cross-validated figures of a surrogate, from its manifest."""
    table = plain_table("Cross-validated, folds grouped by symmetry class")
    for name in ("property", "model"):
        table.add_column(name)
    shown = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "coverage_90": "in 90 % interval"}
    for name in shown.values():
        table.add_column(name, justify="right")
    for name, entry in manifest["properties"].items():
        metrics = entry["metrics"]
        cells = (f"{metrics[k]:.4f}" if k in metrics else "-" for k in shown)
        table.add_row(name, str(entry["model"]), *cells)
    return table
