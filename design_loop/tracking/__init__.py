"""Campaigns in a tracking server (MLflow), beside the ledger.

Everything that is sent is derived from the ledger: a server that was away is caught up with the
next time, and one that is new gets all of a campaign.
"""

from __future__ import annotations

from design_loop.tracking.errors import TrackingError
from design_loop.tracking.sync import Tracker, track_campaign

__all__ = ["Tracker", "TrackingError", "track_campaign"]
