"""Bring a tracking server up to what the ledger says."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from design_loop.export import export_candidates
from design_loop.ledger import Ledger
from design_loop.ledger.tracking import WHOLE, TrackingRun
from design_loop.report import write_report
from design_loop.tracking.content import CampaignContent, Content, read_campaign
from design_loop.tracking.errors import TrackingError
from design_loop.tracking.mlflow_runs import MlflowRuns

if TYPE_CHECKING:
    from design_loop.config import TrackingConfig
    from design_loop.progress import Progress

log = logging.getLogger(__name__)


def track_campaign(
    ledger: Ledger, campaign: str, settings: TrackingConfig, *, files: bool | None = None
) -> tuple[str, int]:
    """Send what the server does not have yet; may be repeated.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
    settings : TrackingConfig
        ``tracking`` of the campaign file.
    files : bool, optional
        Whether to send report, candidates and campaign file; by default at the campaign's end.

    Returns
    -------
    str
        Id of the campaign's run.
    int
        How many runs were told something new.

    Raises
    ------
    TrackingError
        The server cannot be reached, or refused.
    """
    found = read_campaign(ledger, campaign)
    runs = MlflowRuns(settings.uri, settings.experiment, settings.timeout_s)
    sender = _Sender(ledger, found.summary.campaign.id, runs, settings.experiment)
    parent, changed = sender.tell(WHOLE, found.whole, None, found)
    told = int(changed)
    for number, content in found.rounds.items():
        told += sender.tell(number, content, parent)[1]
    if (found.ended and settings.artifacts) if files is None else files:
        _send_files(ledger, found, runs, parent)
    sender.done(found.whole, parent)
    return parent, told


class _Sender:
    """Runs of one campaign, with what each was told last."""

    def __init__(self, ledger: Ledger, campaign: str, runs: MlflowRuns, experiment: str) -> None:
        self._ledger, self._campaign, self._runs = ledger, campaign, runs
        self._experiment = experiment
        self._known = ledger.tracking_runs(campaign, runs.server, experiment)

    def tell(
        self,
        number: int,
        content: Content,
        parent: str | None,
        curves: CampaignContent | None = None,
    ) -> tuple[str, bool]:
        """Tell a run what it does not know; returns its id, and whether there was something."""
        known = self._known.get(number)
        if known is not None and known.sent == content.digest:
            return known.run, False
        place = content.tags["design_loop.round"]
        run = self._runs.find(None if known is None else known.run, self._campaign, place)
        if run is None:
            run = self._runs.create(content, parent)
        if known is None or known.run != run:
            self._remember(number, TrackingRun(run, None))
        self._runs.send(run, content)
        if curves is not None:
            self._runs.send_curve(run, curves.rounds)
        else:
            self._remember(number, TrackingRun(run, content.digest))
        return run, True

    def done(self, whole: Content, parent: str) -> None:
        """The campaign's own run counts as told when everything of it was sent."""
        if self._known.get(WHOLE) != (now := TrackingRun(parent, whole.digest)):
            self._remember(WHOLE, now)

    def _remember(self, number: int, run: TrackingRun) -> None:
        self._known[number] = run
        self._ledger.remember_tracking(
            self._campaign, self._runs.server, self._experiment, number, run
        )


def _send_files(ledger: Ledger, found: CampaignContent, runs: MlflowRuns, parent: str) -> None:
    campaign = found.summary.campaign
    with tempfile.TemporaryDirectory(prefix="design-loop-") as made:
        folder = Path(made)
        config = yaml.safe_dump(dict(campaign.config), sort_keys=False, allow_unicode=True)
        (folder / "campaign.yaml").write_text(config, encoding="utf-8")
        if found.summary.candidates:
            export_candidates(found.summary, "csv", folder / "candidates")
        write_report(ledger, campaign.id, folder / "report.html")
        runs.send_files(parent, folder)


class Tracker:
    """Tracks a campaign while it runs; a server that is away never stops it.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
    settings : TrackingConfig
    progress : Progress
        Is told when the server is away, and when it is there again.
    """

    def __init__(
        self, ledger: Ledger, campaign: str, settings: TrackingConfig, progress: Progress
    ) -> None:
        self._ledger, self._campaign = ledger, campaign
        self._settings, self._progress = settings, progress
        self._away = False

    def update(self) -> None:
        """Send what is new; what cannot be sent now is sent the next time."""
        if self._settings.kind == "none":
            return
        try:
            track_campaign(self._ledger, self._campaign, self._settings)
        except TrackingError as error:
            log.debug("tracking", exc_info=error)
            if not self._away:
                self._progress.message("warning", f"tracking: {error}")
                self._ledger.event(self._campaign, f"tracking: {error}", level="warning")
            self._away = True
            return
        if self._away:
            self._progress.message("info", "tracking: the server answers again, all was sent")
        self._away = False
