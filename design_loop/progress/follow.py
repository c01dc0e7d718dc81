"""A display of a campaign that runs elsewhere: what its ledger says becomes events."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from defects.errors import ConfigError
from design_loop.config import CampaignConfig
from design_loop.config.amend import amended
from design_loop.ledger import Campaign, CampaignState, Ledger, LedgerError, Step, StepState
from design_loop.pace import planned_calls
from design_loop.summary import summarise_campaign, summarise_round

if TYPE_CHECKING:
    from design_loop.progress import Progress
    from design_loop.progress.state import DisplayState

#: Seconds between two looks into the ledger.
EVERY_S = 1.0
#: A campaign in these does not go on by itself.
ENDED = frozenset({CampaignState.DONE, CampaignState.FAILED, CampaignState.STOPPED})


class Follower:
    """Tells a display what is new in the ledger since it last looked.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
        Its id.
    progress : Progress
    state : DisplayState
        The one behind `progress`: times that lie before this process began are put in here.
    """

    def __init__(
        self, ledger: Ledger, campaign: str, progress: Progress, state: DisplayState
    ) -> None:
        self._ledger, self._id = ledger, campaign
        self._progress, self._state = progress, state
        self._begun = False
        self._lag = 0.0
        self._told: dict[tuple[int, str], Any] = {}
        self._rounds: set[int] = set()
        self._event = 0

    def look(self) -> CampaignState:
        """Tell what is new.

        Returns
        -------
        CampaignState
            Where the campaign stands.

        Raises
        ------
        LedgerError
            The ledger does not answer; the next look may find it again.
        """
        # One offset per look: with one per time, two moments could change places between them.
        self._lag = self._state.clock() - datetime.now(UTC).timestamp()
        found = self._ledger.campaign(self._id)
        if not self._begun:
            self._begin(found)
        rounds = self._ledger.rounds(self._id)
        steps = self._ledger.steps(self._id)
        for each in rounds:
            models = {"adapter": each.adapter, "surrogate": each.surrogate}
            self._state.models |= {kind: name for kind, name in models.items() if name}
            for step in (s for s in steps if s.round == each.number):
                self._tell_step(step)
            if each.state is StepState.DONE and each.number not in self._rounds:
                self._rounds.add(each.number)
                self._progress.round_finished(summarise_round(self._ledger, self._id, each.number))
        self._tell_advance()
        for event in self._ledger.events(self._id, after=self._event):
            self._event = event.id
            # An "info" would stand for what the running step is at.
            level = "note" if event.level == "info" else event.level
            self._progress.message(level, event.message)
        amendments = self._ledger.amendments(self._id)
        config = amended(self._config, amendments)
        if config != self._shown:
            self._shown = config
            self._progress.campaign_extended(config, planned_calls(found.config, amendments))
        self._state.standing = self._standing(found)
        return found.state

    def _begin(self, found: Campaign) -> None:
        try:
            config = CampaignConfig.model_validate(found.config)
        except ValidationError as error:
            version = found.versions.get("design-loop", "unknown")
            raise ConfigError(
                f"{found.id}: its configuration is not of this version of design-loop; use the "
                f"version that started it, {version}"
            ) from error
        self._config = self._shown = config
        self._progress.campaign_started(found.id, config)
        self._state.started = self._clock(found.created)
        self._begun = True
        # What is done already, in one go: a summary of every round by itself would read all labels
        # once per round.
        whole = summarise_campaign(self._ledger, self._id)
        steps = self._ledger.steps(self._id)
        for summary in whole.rounds:
            if summary.done:
                for step in (s for s in steps if s.round == summary.number):
                    self._tell_step(step)
                self._rounds.add(summary.number)
                self._progress.round_finished(summary)

    def _tell_step(self, step: Step) -> None:
        place = (step.round, step.name)
        now = (step.state, step.attempts)
        if self._told.get(place) == now:
            return
        self._told[place] = now
        if step.state is StepState.DONE:
            self._progress.step_finished(step.round, step.name, step.seconds or 0.0, step.info)
        elif step.state is StepState.RUNNING:
            self._progress.step_started(step.round, step.name)
            if (view := self._state.running) is not None and step.started is not None:
                view.started = self._clock(step.started)
        elif step.state is StepState.FAILED:
            why = (step.error or "").strip().splitlines() or ["unknown"]
            self._progress.message("error", f"round {step.round} {step.name}: {why[-1]}")

    def _tell_advance(self) -> None:
        """Labels arrive one by one; other steps tell nothing before they are done."""
        view = self._state.running
        if view is None or view.name != "verify":
            return
        funnel = self._ledger.funnel(self._id, self._state.round)
        done = funnel.verified + funnel.failed
        if (done, funnel.selected) != (view.done, view.total):
            self._progress.step_advanced(done, funnel.selected)

    def _standing(self, found: Campaign) -> str:
        if found.state in ENDED:
            return f"{found.state}" + (f": {_last_line(found.error)}" if found.error else "")
        asked = self._ledger.pending_request(self._id)
        driver = self._ledger.driver(self._id)
        if driver is None:
            if found.state is CampaignState.RUNNING:
                return "no driver is at work: `design-loop campaign resume` goes on"
            return str(found.state)
        where = f"driven by process {driver['pid']} on {driver['host']}"
        return f"{where}; {asked.action} asked for" if asked is not None else where

    def _clock(self, moment: datetime) -> float:
        """A time of the ledger on the display's clock."""
        return moment.timestamp() + self._lag


def follow(
    follower: Follower,
    wait: Callable[[float], None] = time.sleep,
    lost: Callable[[str], None] | None = None,
) -> CampaignState:
    """Look again and again until the campaign has ended.

    Parameters
    ----------
    follower : Follower
    wait : callable
        Replaced in tests.
    lost : callable, optional
        Is told when the ledger does not answer; once until it does again.
    """
    silent = False
    while True:
        try:
            state = follower.look()
        except LedgerError as error:
            if not follower._begun:
                raise
            if lost is not None and not silent:
                lost(f"{error}; trying again")
            silent = True
        else:
            silent = False
            if state in ENDED:
                return state
        wait(EVERY_S)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
