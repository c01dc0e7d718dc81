"""The dashboard's pages below ``/dashboard``."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI

from design_loop.server.settings import CampaignsSettings
from serve.extensions import ScopeRule


@dataclass(frozen=True)
class DashboardRoutes:
    """See `serve.extensions.Pages`. Everything is read only."""

    settings: CampaignsSettings

    scopes: tuple[ScopeRule, ...] = ()
    pages: str = "/dashboard"

    def add_routes(self, app: FastAPI) -> None:
        """Mount the pages."""
        from design_loop.dashboard.app import build_dashboard
        from design_loop.dashboard.store import Store

        sessions = getattr(app.state, "sessions", None)
        app.mount(self.pages, build_dashboard(Store(self.settings.ledger), sessions))
