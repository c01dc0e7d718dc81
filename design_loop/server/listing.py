"""Reading campaigns over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI

from design_loop.server.access import LedgerAccess, find_campaign
from design_loop.server.schemas import CampaignCard, CampaignList
from design_loop.server.settings import CampaignsSettings


def add_listing(app: FastAPI, settings: CampaignsSettings) -> None:
    """Add the routes that change nothing."""
    access = LedgerAccess(settings)

    def cards() -> list[CampaignCard]:
        with access() as ledger:
            return [CampaignCard.of(campaign) for campaign in ledger.campaigns()]

    @app.get("/v1/campaigns", response_model=CampaignList)
    async def campaigns() -> Any:
        """All campaigns of the ledger, the newest first."""
        return CampaignList(data=await asyncio.to_thread(cards))

    def card(name: str) -> CampaignCard:
        with access() as ledger:
            return CampaignCard.of(find_campaign(ledger, name))

    @app.get("/v1/campaigns/{campaign}", response_model=CampaignCard)
    async def campaign(campaign: str) -> Any:
        """One campaign."""
        return await asyncio.to_thread(card, campaign)
