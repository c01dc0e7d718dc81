"""What the routes of campaigns take and answer. No path of the server is in any answer."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from design_loop.config import CampaignConfig
from design_loop.ledger import Campaign, Ledger
from design_loop.overview import Overview
from design_loop.server.admission import SECTIONS, redact

CampaignFormat = Literal["cif", "poscar", "extxyz"]


class ExtendBody(BaseModel):
    """What to add to a campaign; at least one of both."""

    model_config = ConfigDict(extra="forbid")

    rounds: int | None = Field(None, ge=1, le=10_000, description="further rounds")
    budget: int | None = Field(
        None, ge=1, le=1_000_000, description="oracle calls in each round that comes"
    )
    stage: int | None = Field(
        None, ge=1, le=3, description="stage of the oracle that the budget is of; 1 unless given"
    )


class CampaignCard(BaseModel):
    """A campaign in short."""

    id: str
    name: str
    state: str = Field(description="created, running, waiting, paused, stopped, failed or done")
    asked: str | None = Field(description="pause or stop, where its driver has still to act on it")
    driven: bool = Field(description="whether a driver is at work; false while running: it died")
    host: str
    supercell: str
    created: datetime
    updated: datetime
    error: str | None = Field(description="what went wrong, or what it waits for")

    @classmethod
    def of(cls, ledger: Ledger, campaign: Campaign) -> CampaignCard:
        """From a record of the ledger."""
        return cls(**_card(ledger, campaign))


class CampaignList(BaseModel):
    """The newest first."""

    data: list[CampaignCard]


class AmendmentCard(BaseModel):
    """What was added to a campaign after its start."""

    number: int
    time: datetime
    rounds: int | None
    budget: int | None
    stage: int = Field(description="stage of the oracle that the budget is of")
    first_round: int = Field(description="first round that the budget counts for")


class LineageCard(BaseModel):
    """Where a fork comes from."""

    parent: str
    labels: int
    adapter: str | None
    surrogate: str | None


class RoundCard(BaseModel):
    """A round in numbers."""

    number: int
    done: bool
    samples: int
    candidates: int
    selected: int
    verified: int
    failed: int
    drops: dict[str, int]
    hits: int
    best_error: float | None
    seconds: float


class CampaignDetail(CampaignCard):
    """A campaign, where it stands and what it found."""

    targets: list[str]
    rounds: list[RoundCard]
    rounds_done: int
    rounds_in_all: int
    step: str | None = Field(description="the step at work, or the next one")
    oracle_calls: int
    oracle_budget: int
    hits: int
    best_error: float | None = Field(description="smallest distance to the targets")
    seconds: float
    seconds_left: float | None
    amendments: list[AmendmentCard]
    lineage: LineageCard | None
    forks: list[str]

    @classmethod
    def of_overview(cls, ledger: Ledger, seen: Overview) -> CampaignDetail:
        """From everything there is to know of it."""
        summary, campaign = seen.summary, seen.summary.campaign
        lineage = seen.lineage
        return cls(
            **_card(ledger, campaign),
            targets=[target.text() for target in summary.targets],
            rounds=[
                RoundCard(
                    number=r.number,
                    done=r.done,
                    samples=r.funnel.samples,
                    candidates=r.funnel.candidates,
                    selected=r.funnel.selected,
                    verified=r.funnel.verified,
                    failed=r.funnel.failed,
                    drops=dict(r.funnel.drops),
                    hits=r.hits,
                    best_error=r.best_error,
                    seconds=r.total_seconds,
                )
                for r in summary.rounds
            ],
            rounds_done=seen.rounds_done,
            rounds_in_all=seen.rounds,
            step=None if seen.step is None else seen.step.name,
            oracle_calls=seen.calls,
            oracle_budget=seen.budget,
            hits=summary.hits,
            best_error=summary.best_error,
            seconds=seen.seconds,
            seconds_left=seen.remaining,
            amendments=[AmendmentCard.model_validate(asdict(a)) for a in seen.amendments],
            lineage=None
            if lineage is None
            else LineageCard(
                parent=lineage.parent,
                labels=lineage.labels,
                adapter=lineage.adapter,
                surrogate=lineage.surrogate,
            ),
            forks=list(seen.forks),
        )


class ControlReply(BaseModel):
    """What became of a request."""

    id: str
    state: str
    asked: str | None = Field(description="what its driver will do at its next safe point")
    message: str


class CandidatePage(BaseModel):
    """Labelled candidates by rank."""

    total: int
    next: str | None = Field(description="`after` of the next page; null on the last one")
    data: list[dict[str, Any]]


def _card(ledger: Ledger, campaign: Campaign) -> dict[str, Any]:
    host = campaign.config.get("host", {})
    asked = ledger.pending_request(campaign.id)
    error = (campaign.error or "").strip().splitlines()
    return {
        "id": campaign.id,
        "name": campaign.name,
        "state": str(campaign.state),
        "asked": None if asked is None else str(asked.action),
        "driven": ledger.driver(campaign.id) is not None,
        "host": redact(str(host.get("name", "?"))),
        "supercell": str(host.get("supercell", "")),
        "created": campaign.created,
        "updated": campaign.updated,
        "error": redact(error[-1]) if error else None,
    }


def campaign_schema() -> dict[str, Any]:
    """The JSON schema of a campaign in a request, its references written out."""
    schema = CampaignConfig.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inlined(node: Any, depth: int = 0) -> Any:
        if isinstance(node, list):
            return [inlined(item, depth) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node and depth < 12:
            name = node["$ref"].rpartition("/")[2]
            rest = {k: v for k, v in node.items() if k != "$ref"}
            return inlined({**definitions[name], **rest}, depth + 1)
        return {key: inlined(value, depth) for key, value in node.items() if key != "discriminator"}

    properties = {k: v for k, v in schema["properties"].items() if k in SECTIONS}
    return inlined({**schema, "properties": properties})


CampaignBodySchema = WithJsonSchema(campaign_schema())
