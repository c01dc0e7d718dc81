"""What is added to the address of the models: each part brings its routes and their scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from design_loop.server.settings import ServerSettings

if TYPE_CHECKING:
    from serve.extensions import Extension


def extensions_of(settings: ServerSettings) -> tuple[Extension, ...]:
    """The routes that `settings` asks for, to be handed to `serve.app.deploy`."""
    if settings.campaigns is None:
        return ()
    from design_loop.server.campaigns import CampaignRoutes
    from design_loop.server.dashboard import DashboardRoutes

    return (CampaignRoutes(settings.campaigns), DashboardRoutes(settings.campaigns))
