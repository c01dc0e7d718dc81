"""What a tracking server is told of a campaign, from its ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from design_loop.ledger import CampaignState, Ledger, Step
from design_loop.summary import CampaignSummary, RoundSummary, summarise_campaign

#: What MLflow's servers take at most of a parameter's value.
_LONGEST = 500
_STATUS = {
    CampaignState.DONE: "FINISHED",
    CampaignState.FAILED: "FAILED",
    CampaignState.STOPPED: "KILLED",
}


@dataclass(frozen=True)
class Content:
    """What a run says.

    Attributes
    ----------
    name : str
    step : int
        Number of the round; the campaign's own figures stand at its last.
    time : datetime
        When it was so: sent again, it is the same point of a curve and no new one.
    metrics, params, tags : mapping
    status : str
        RUNNING, FINISHED, FAILED or KILLED.
    """

    name: str
    step: int
    time: datetime
    metrics: Mapping[str, float]
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str = "RUNNING"

    @property
    def digest(self) -> str:
        """Hash of all of it: what was sent before need not be sent again."""
        whole = [self.name, self.step, self.time.isoformat(), dict(self.metrics),
                 dict(self.params), dict(self.tags), self.status]  # fmt: skip
        text = json.dumps(whole, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class CampaignContent:
    """The run of a campaign and those of its finished rounds, by number."""

    summary: CampaignSummary
    whole: Content
    rounds: Mapping[int, Content]

    @property
    def ended(self) -> bool:
        """Whether nothing more comes unless somebody resumes it."""
        return self.summary.campaign.state in _STATUS


def read_campaign(ledger: Ledger, campaign: str) -> CampaignContent:
    """Read what there is to tell of a campaign."""
    summary = summarise_campaign(ledger, campaign)
    found = summary.campaign
    steps = ledger.steps(found.id)
    times = {r.number: r.finished for r in ledger.rounds(found.id)}
    rounds = {}
    for each in summary.rounds:
        finished = times[each.number]
        if not each.done or finished is None:
            continue
        mine = [s for s in steps if s.round == each.number]
        names = {"adapter": each.adapter, "surrogate": each.surrogate}
        rounds[each.number] = Content(
            name="preparation" if each.number == 0 else f"round {each.number}",
            step=each.number,
            time=finished,
            metrics=round_metrics(each, mine),
            params={kind: name for kind, name in names.items() if name},
            tags={"design_loop.campaign": found.id, "design_loop.round": str(each.number)},
            status="FINISHED",
        )
    totals: dict[str, float] = {
        "total_hits": summary.hits,
        "total_verified": summary.funnel.verified,
        "total_failed": summary.funnel.failed,
        "total_samples": summary.funnel.samples,
        "total_seconds": sum(s.seconds or 0.0 for s in steps if s.state.is_final),
    }
    if summary.best_error is not None:
        totals["total_best_error"] = summary.best_error
    whole = Content(
        name=found.id,
        step=max(rounds, default=0),
        time=max((c.time for c in rounds.values()), default=found.created),
        metrics=totals,
        params=flat(found.config),
        tags={
            "design_loop.campaign": found.id,
            "design_loop.round": "all",
            "design_loop.state": str(found.state),
            "design_loop.targets": "; ".join(t.text() for t in summary.targets),
            **{f"version.{name}": version for name, version in found.versions.items()},
        },
        status=_STATUS.get(found.state, "RUNNING"),
    )
    return CampaignContent(summary, whole, rounds)


def round_metrics(found: RoundSummary, steps: Sequence[Step]) -> dict[str, float]:
    """The figures of a round: what came out, how well the models fit, where the time went."""
    funnel = found.funnel
    repeats = sum(n for reason, n in funnel.drops.items() if reason.startswith("duplicate_in"))
    metrics: dict[str, float] = {}
    if found.number > 0:
        metrics = {
            "samples": funnel.samples,
            "valid_share": (funnel.candidates + repeats) / max(funnel.samples, 1),
            "new": funnel.candidates,
            "verified": funnel.verified,
            "failed": funnel.failed,
            "hits": found.hits,
        }
        if found.best_error is not None:
            metrics["best_error"] = found.best_error
    for step in steps:
        if step.seconds is not None:
            metrics[f"seconds.{step.name}"] = step.seconds
        for name, value in (step.info.get("surrogate_mae") or {}).items():
            metrics[f"surrogate_mae.{name}"] = value
        if isinstance(step.info.get("loss"), (int, float)):
            metrics["adapter_loss"] = step.info["loss"]
        for name in ("unique", "compositions", "distance", "repeated"):
            if name in (step.info.get("diversity") or {}):
                metrics[f"diversity.{name}"] = step.info["diversity"][name]
    return {name: float(value) for name, value in metrics.items()}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as ``generation.samples`` -> ``192``; lists as JSON."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple, Mapping)):
            found[prefix + name] = json.dumps(value, sort_keys=True)[:_LONGEST]
        else:
            found[prefix + name] = str(value)[:_LONGEST]
    return found
