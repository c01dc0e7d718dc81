"""The routes below ``/v1/campaigns``."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI

from design_loop.server.settings import CampaignsSettings
from serve.extensions import ScopeRule


@dataclass(frozen=True)
class CampaignRoutes:
    """See `serve.extensions.Extension`. Reading needs ``read``, all else ``campaign``."""

    settings: CampaignsSettings

    scopes = (ScopeRule("POST", "/v1/campaigns", "campaign"),)

    def add_routes(self, app: FastAPI) -> None:
        """Add the routes."""
        from design_loop.server.access import LedgerAccess
        from design_loop.server.control import add_control
        from design_loop.server.listing import add_listing

        access = LedgerAccess(self.settings)
        add_listing(app, self.settings, access)
        add_control(app, self.settings, access)
