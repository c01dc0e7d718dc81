"""What can go wrong with a tracking server."""

from __future__ import annotations

from defects.errors import DesignLoopError


class TrackingError(DesignLoopError):
    """The tracking server cannot be reached, or refused; the campaign and its ledger are well."""
