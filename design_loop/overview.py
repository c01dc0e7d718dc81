"""Everything that a user wants to know of a campaign, in one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from design_loop.adaptation.collapse import recorded
from design_loop.ledger import (
    PREPARE_STEPS,
    Amendment,
    CampaignState,
    Event,
    Ledger,
    Lineage,
    Step,
)
from design_loop.pace import pace, planned_calls
from design_loop.summary import CampaignSummary, summarise_campaign

#: Messages shown.
_MESSAGES = 3


@dataclass(frozen=True)
class Overview:
    """A campaign at a glance.

    Attributes
    ----------
    summary : CampaignSummary
    driver : mapping or None
        Host and process of the living driver.
    asked : str or None
        A pause or a stop that the driver has still to act on.
    rounds, budget : int
        In all, with what was added since the start; budget 0 without an oracle.
    seconds : float
        In all finished steps.
    remaining : float or None
        Seconds that the rest will take, by the latest rounds; None while unknown.
    step : Step or None
        The step at work, or the next one.
    models : mapping
        ``adapter`` and ``surrogate`` -> name.
    mae : mapping
        Property -> cross-validated mean absolute error of the latest surrogate, in its unit.
    settings : sequence of mapping
        Sampling settings of the latest round, with their yield.
    diversity : mapping
        Of the latest checked round; see `design_loop.adaptation.diversity`.
    warnings : sequence of Event
        The latest warnings and errors.
    files : mapping
        What -> where it lies, as far as it is there.
    amendments : sequence of Amendment
        What was added since the start.
    lineage : Lineage or None
        Where a fork comes from.
    forks : sequence of str
        Campaigns forked from this one.
    """

    summary: CampaignSummary
    driver: Mapping[str, Any] | None
    asked: str | None
    rounds: int
    budget: int
    seconds: float
    remaining: float | None
    step: Step | None
    models: Mapping[str, str]
    mae: Mapping[str, float]
    settings: Sequence[Mapping[str, Any]]
    diversity: Mapping[str, Any]
    warnings: Sequence[Event]
    files: Mapping[str, str]
    amendments: Sequence[Amendment]
    lineage: Lineage | None
    forks: Sequence[str]

    @property
    def round(self) -> int:
        """The round at work, or the last one."""
        return max((r.number for r in self.summary.rounds), default=0)

    @property
    def rounds_done(self) -> int:
        """Finished rounds, the preparation not counted."""
        return sum(r.done and r.number > 0 for r in self.summary.rounds)

    @property
    def calls(self) -> int:
        """Oracle calls that came to an end, well or badly."""
        return self.summary.funnel.verified + self.summary.funnel.failed

    @property
    def standing(self) -> str:
        """State in words: ``running (process 12 on here)``, ``running, but nobody drives it``."""
        state = self.summary.campaign.state
        if self.driver is not None:
            where = f"process {self.driver['pid']} on {self.driver['host']}"
            return f"{state} ({where}{f', {self.asked} asked for' if self.asked else ''})"
        if state is CampaignState.RUNNING:
            return "running, but nobody drives it: its driver was killed"
        return str(state)


def overview(ledger: Ledger, campaign: str) -> Overview:
    """Look at a campaign.

    Raises
    ------
    LedgerError
        When the ledger has no such campaign.
    """
    summary = summarise_campaign(ledger, campaign)
    found = summary.campaign
    steps = ledger.steps(found.id)
    amendments = ledger.amendments(found.id)
    timing = pace(found, steps, amendments)
    surrogates = ledger.surrogates(found.id)
    adapters = ledger.adapters(found.id)
    models = {
        kind: name
        for kind, name in (
            ("adapter", adapters[-1].name if adapters else None),
            ("surrogate", surrogates[-1].version if surrogates else None),
        )
        if name
    }
    asked = ledger.pending_request(found.id)
    checked = next(
        (row for n in range(timing.round, 0, -1) if (row := recorded(ledger, found.id, n))), {}
    )
    return Overview(
        summary=summary,
        driver=ledger.driver(found.id),
        asked=None if asked is None else str(asked.action),
        rounds=timing.rounds,
        budget=planned_calls(found.config, amendments),
        seconds=timing.worked_s,
        remaining=timing.remaining_s,
        step=next((s for s in steps if not s.state.is_final), None),
        models=models,
        mae=_mae(steps),
        settings=_settings(steps),
        diversity=checked,
        warnings=[e for e in ledger.events(found.id) if e.level != "info"][-_MESSAGES:],
        files=_files(Path(found.workdir) / found.id, ledger.where),
        amendments=amendments,
        lineage=ledger.lineage(found.id),
        forks=ledger.forks(found.id),
    )


def next_steps(seen: Overview) -> list[tuple[str, str]]:
    """What can be done with a campaign now: (what for, command without options)."""
    name, state = seen.summary.campaign.id, seen.summary.campaign.state
    resume = ("go on", f"campaign resume {name}")
    if seen.driver is not None:
        return [("look on", f"campaign watch {name}"), ("break off", f"campaign pause {name}")]
    if state is CampaignState.FAILED:
        return [("find out what is wrong", f"campaign doctor {name}"), resume]
    if state is CampaignState.WAITING:
        labels = "labels.csv"
        return [("bring labels", f"campaign import-labels {name} {labels}"), resume]
    if state is not CampaignState.DONE:
        return [resume]
    steps = []
    if seen.summary.candidates:
        hits = " --hits" if seen.summary.hits else ""
        steps.append(
            ("take structures", f"campaign export {name} --format cif --out candidates{hits}")
        )
    return [*steps, ("add rounds", f"campaign extend {name} --rounds 3")]


def _mae(steps: Sequence[Step]) -> dict[str, float]:
    for step in reversed(steps):
        if step.name in (*PREPARE_STEPS, "learn") and step.info.get("surrogate_mae"):
            return dict(step.info["surrogate_mae"])
    return {}


def _settings(steps: Sequence[Step]) -> list[Mapping[str, Any]]:
    for step in reversed(steps):
        if step.name == "generate" and step.info.get("arms"):
            return list(step.info["arms"])
    return []


def _files(folder: Path, store: str) -> dict[str, str]:
    parts = {
        "folder": folder,
        "report": folder / "report.html",
        "candidates": folder / "candidates",
        "logs": folder / "logs",
    }
    return {name: str(path) for name, path in parts.items() if path.exists()} | {"ledger": store}
