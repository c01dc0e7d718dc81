"""Which runs of a tracking server stand for a campaign."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select

from design_loop.ledger import tables as t
from design_loop.ledger.reader import LedgerReader

#: Stands for the campaign as a whole where a round is named.
WHOLE = -1


@dataclass(frozen=True)
class TrackingRun:
    """A run on a tracking server.

    Attributes
    ----------
    run
        Its id there.
    sent
        Digest of what it was told last; None before anything arrived.
    """

    run: str
    sent: str | None


class LedgerTracking(LedgerReader):
    """Remember runs of tracking servers.

    Written without the campaign's lease: whoever tracks need not be its driver, and what is
    remembered here changes nothing of the campaign.
    """

    def tracking_runs(self, campaign: str, server: str, experiment: str) -> dict[int, TrackingRun]:
        """Return round (`WHOLE` for the campaign) -> run."""
        c = t.tracking_runs.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.tracking_runs).where(
                    c.campaign == campaign, c.server == server, c.experiment == experiment
                )
            )
            return {r.round: TrackingRun(r.run, r.sent) for r in rows}

    def remember_tracking(
        self, campaign: str, server: str, experiment: str, number: int, run: TrackingRun
    ) -> None:
        """Keep a run, in the place of the one that stood for the same."""
        key = {"campaign": campaign, "server": server, "experiment": experiment, "round": number}
        with self._database.write() as connection:
            connection.execute(
                delete(t.tracking_runs).where(
                    *(t.tracking_runs.c[name] == value for name, value in key.items())
                )
            )
            connection.execute(t.tracking_runs.insert(), key | {"run": run.run, "sent": run.sent})
