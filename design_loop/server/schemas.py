"""What the routes of campaigns answer. No path of the server is in any of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from design_loop.ledger import Campaign


class CampaignCard(BaseModel):
    """A campaign in short."""

    id: str
    name: str
    state: str = Field(description="created, running, pausing, paused, stopped, failed, done")
    host: str
    supercell: str
    created: datetime
    updated: datetime

    @classmethod
    def of(cls, campaign: Campaign) -> CampaignCard:
        """From a record of the ledger."""
        host = campaign.config.get("host", {})
        return cls(
            id=campaign.id,
            name=campaign.name,
            state=str(campaign.state),
            host=str(host.get("name", "?")).rpartition("/")[2],
            supercell=str(host.get("supercell", "")),
            created=campaign.created,
            updated=campaign.updated,
        )


class CampaignList(BaseModel):
    """The newest first."""

    data: list[CampaignCard]
