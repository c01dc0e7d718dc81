"""One line per event, for logs, pipes and CI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, Self

from design_loop.progress.state import DisplayState, describe, duration, in_unit

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.summary import CampaignSummary, RoundSummary

#: A step that goes on says how far it is at most every so many seconds.
EVERY_S = 30.0


class PlainProgress:
    """Writes lines with the time since the start.

    Parameters
    ----------
    file
        Text stream.
    state
        For tests: a state with another clock.
    """

    def __init__(self, file: IO[str], state: DisplayState | None = None) -> None:
        self._file = file
        self._state = state or DisplayState()
        self._told = 0.0
        self._news = ""

    @property
    def campaign(self) -> str:
        """Id of the campaign that began; empty before."""
        return self._state.campaign

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.flush()

    def campaign_started(
        self, campaign: str, config: CampaignConfig, calls: int | None = None
    ) -> None:
        state = self._state
        state.begin(campaign, config, calls)
        self._line(f"campaign {campaign}: {state.host}, {config.rounds} rounds")
        self._line(f"targets: {'; '.join(state.targets)}")

    def campaign_extended(self, config: CampaignConfig, calls: int) -> None:
        self._state.extend(config, calls)
        self._line(f"extended: {config.rounds} rounds, {calls} oracle calls")

    def step_started(self, number: int, step: str, detail: str = "") -> None:
        self._state.start_step(number, step, detail)
        self._told = self._state.clock()
        self._line(f"{self._place(number, step)}{detail and ': ' + detail}")

    def step_advanced(self, done: int, total: int | None = None) -> None:
        view = self._state.running
        if view is None:
            return
        view.done, view.total = done, total
        if self._state.clock() - self._told >= EVERY_S:
            self._told = self._state.clock()
            of = "" if total is None else f" of {total}"
            self._line(f"{self._place(self._state.round, view.name)}: {done}{of}")

    def step_finished(
        self, number: int, step: str, seconds: float, info: Mapping[str, Any]
    ) -> None:
        self._state.finish_step(number, step, seconds, info)
        told = describe(info)
        self._line(
            f"{self._place(number, step)}: done in {duration(seconds)}{told and ' (' + told + ')'}"
        )

    def message(self, level: str, text: str) -> None:
        if level != "info":
            self._line(f"{level}: {text}")
            return
        # "loading (5 s)", "loading (10 s)": the same news, told as rarely as other progress.
        news = re.sub(r"\d+", "", text)
        if news != self._news or self._state.clock() - self._told >= EVERY_S:
            self._news, self._told = news, self._state.clock()
            self._line(text)

    def round_finished(self, summary: RoundSummary) -> None:
        self._state.finish_round(summary)
        if summary.number == 0:
            return
        funnel = summary.funnel
        best = ""
        if summary.best_error is not None:
            best = f", best error {in_unit(summary.best_error, self._state.unit)}"
        drops = ", ".join(f"{n} {reason}" for reason, n in funnel.drops.items())
        self._line(
            f"round {summary.number}/{self._state.n_rounds} done: {funnel.samples} samples, "
            f"{funnel.candidates} candidates, {funnel.verified} verified, "
            f"{summary.hits} meet all targets{best}{drops and '; dropped ' + drops}"
        )

    def campaign_finished(self, summary: CampaignSummary) -> None:
        self._line(
            f"campaign {summary.campaign.id} {summary.campaign.state}: "
            f"{summary.hits} of {summary.funnel.verified} verified candidates meet all targets"
        )

    def _place(self, number: int, step: str) -> str:
        return step if number == 0 else f"round {number}/{self._state.n_rounds} {step}"

    def _line(self, text: str) -> None:
        since = self._state.clock() - self._state.started if self._state.started else 0.0
        minutes, seconds = divmod(int(since), 60)
        self._file.write(f"[{minutes:3d}:{seconds:02d}] {text}\n")
        self._file.flush()
