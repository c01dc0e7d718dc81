"""The ledger behind HTTP: opened when it is asked for, its errors as answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from defects.errors import ConfigError
from design_loop.ledger import Campaign, LeaseHeldError, Ledger, LedgerError, TransitionError
from design_loop.server.admission import redact
from design_loop.server.settings import CampaignsSettings
from serve.errors import ApiError

log = logging.getLogger(__name__)


class LedgerAccess:
    """One connection pool per process, made at the first request.

    Parameters
    ----------
    settings : CampaignsSettings
    """

    def __init__(self, settings: CampaignsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None

    @contextmanager
    def __call__(self) -> Iterator[Ledger]:
        """The ledger. Call it in a thread: databases wait.

        Raises
        ------
        ApiError
            409 for what makes no sense in a campaign's state, 422 for what no campaign could be
            asked for, 503 where the database cannot be read; what is wrong with it stands in the
            server's log, since it names files and hosts.
        """
        try:
            yield self._open()
        except (TransitionError, LeaseHeldError) as error:
            raise ApiError(409, "illegal_transition", redact(str(error))) from error
        except ConfigError as error:
            raise ApiError(422, "invalid_campaign", redact(str(error))) from error
        except LedgerError as error:
            log.error("campaigns cannot be read: %s", error)
            text = "the ledger of campaigns does not answer; see the server's log"
            raise ApiError(503, "ledger_unavailable", text) from error

    def _open(self) -> Ledger:
        with self._lock:
            if self._ledger is None:
                if "://" not in self._settings.ledger:
                    Path(self._settings.ledger).parent.mkdir(parents=True, exist_ok=True)
                self._ledger = Ledger(self._settings.ledger)
            return self._ledger


def find_campaign(ledger: Ledger, name: str) -> Campaign:
    """The campaign with exactly this id.

    Raises
    ------
    ApiError
        404 without one.
    """
    for found in ledger.campaigns():
        if found.id == name:
            return found
    raise ApiError(404, "campaign_not_found", "there is no campaign of this id")
