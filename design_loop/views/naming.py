"""Names, units and colours of things as pages write them."""

from __future__ import annotations

from typing import Any

from defects.properties import unit_of
from design_loop.ledger import Campaign
from design_loop.summary import CampaignSummary
from design_loop.tables import SHORT
from serve.public import without_paths

#: What a campaign's state means for somebody who looks at it; unknown ones are shown as they are.
STATES = {
    "created": "not begun",
    "running": "running",
    "waiting": "waiting for labels",
    "paused": "paused",
    "stopped": "stopped",
    "failed": "failed",
    "done": "done",
}


def short(name: str) -> str:
    """A property's short name: ``gap``."""
    return SHORT.get(name, name)


def unit(campaign: Campaign, name: str) -> str:
    """A property's unit, also of a campaign's own; empty where it has none."""
    own: Any = campaign.config.get("properties") or {}
    mine = own.get(name) if isinstance(own, dict) else None
    return (
        str((mine or {}).get("unit") or unit_of(name)) if isinstance(mine, dict) else unit_of(name)
    )


def label_of(campaign: Campaign, name: str, what: str = "") -> str:
    """Axis label of a property: ``gap, predicted (eV)``."""
    u = unit(campaign, name)
    return short(name) + (f", {what}" if what else "") + (f" ({u})" if u else "")


def with_unit(what: str, summary: CampaignSummary) -> str:
    """A heading of distances to the targets: ``best (eV)``."""
    return f"{what} ({summary.error_unit})" if summary.error_unit else what


def host_of(campaign: Campaign) -> str:
    """``MoS2 4×4``."""
    host = campaign.config.get("host", {})
    cell = str(host.get("supercell", "")).split("x")
    return f"{without_paths(str(host.get('name', '?')))} {'×'.join(cell[:2])}".strip()


def failure(campaign: Campaign) -> str:
    """What ended a campaign, in a line without paths; empty where nothing did."""
    lines = (campaign.error or "").strip().splitlines()
    return without_paths(lines[-1]) if lines else ""


def proposer_of(campaign: Campaign) -> str:
    """Who proposes: ``llm``, ``random``, ..."""
    proposer = campaign.config.get("proposer")
    return (
        str(proposer.get("kind", "llm")) if isinstance(proposer, dict) else str(proposer or "llm")
    )
