"""Campaigns: the loop that proposes, checks, screens, verifies and learns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.progress import Progress
    from design_loop.summary import CampaignSummary

__all__ = ["resume_campaign", "run_campaign"]


def run_campaign(
    config: CampaignConfig, workdir: Path, store: str, progress: Progress
) -> CampaignSummary:
    """Run a new campaign to its end; see `design_loop.campaign.driver`."""
    from design_loop.campaign.driver import start

    return start(config, workdir, store, progress)


def resume_campaign(
    campaign: str, workdir: Path, store: str, progress: Progress
) -> CampaignSummary:
    """Go on with a campaign from what its ledger holds; nothing finished is done again."""
    from design_loop.campaign.driver import resume

    return resume(campaign, workdir, store, progress)
