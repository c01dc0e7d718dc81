"""The driver's ear: what people ask of a running campaign, heard at its safe points."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from design_loop.config import CampaignConfig
from design_loop.config.amend import amended
from design_loop.ledger import Ledger, LedgerError, Suspended
from design_loop.pace import planned_calls

log = logging.getLogger(__name__)


class Control:
    """Requests and amendments of one campaign.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
    config : CampaignConfig
        What the campaign was started with.
    every_s : float
        `asked` looks into the ledger at most so often, s.
    clock : callable
        Seconds, monotonic; replaced in tests.
    """

    def __init__(
        self,
        ledger: Ledger,
        campaign: str,
        config: CampaignConfig,
        *,
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._id, self._config = ledger, campaign, config
        self._every_s, self._clock = every_s, clock
        self._looked = -float("inf")
        self._asked = False

    def asked(self) -> bool:
        """Whether somebody wants the campaign to halt; for loops that are able to end early."""
        now = self._clock()
        if now - self._looked >= self._every_s:
            self._looked = now
            try:
                self._asked = self._ledger.pending_request(self._id) is not None
            except LedgerError as error:
                # Not worth a campaign: the next look or the next write says it again.
                log.warning("requests could not be read: %s", error)
        return self._asked

    def check(self) -> None:
        """Leave here if somebody wants the campaign to halt.

        Raises
        ------
        Suspended
        """
        self._asked = False
        request = self._ledger.pending_request(self._id)
        if request is not None:
            raise Suspended(f"{self._id}: {request.action} asked for by {request.by}")

    def amended(self) -> CampaignConfig:
        """The configuration with everything that was added since."""
        return amended(self._config, self._ledger.amendments(self._id))

    def calls(self) -> int:
        """Oracle calls that all rounds together may make; a changed budget counts from its own."""
        amendments = self._ledger.amendments(self._id)
        return planned_calls(self._config.model_dump(mode="json"), amendments)
