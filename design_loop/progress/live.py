"""A display that covers the terminal while a campaign runs, and leaves its last state behind."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, RenderableType
from rich.live import Live

from design_loop.progress.lines import KeptLines
from design_loop.progress.screen import Screen, draw
from design_loop.progress.state import DisplayState

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.summary import CampaignSummary, RoundSummary

#: Lines of the state that is left behind: as many as it takes.
_ENDLESS = 10_000


class LiveProgress:
    """Redraws a few times per second what the events told.

    On the terminal's second screen, so that a new size, or what another process writes in between,
    does no lasting harm; the first one is as it was afterwards, with the last state below.

    Parameters
    ----------
    console
        A terminal.
    state
        For tests and for a display that is fed from the ledger: a state with another clock.
    """

    def __init__(self, console: Console, state: DisplayState | None = None) -> None:
        self._console = console
        self._state = state or DisplayState()
        self._unicode = console.encoding.lower().startswith("utf")
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=4,
            screen=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._lines = KeptLines(lambda line: self._state.messages.append(("info", line)))

    @property
    def campaign(self) -> str:
        """Id of the campaign that began; empty before."""
        return self._state.campaign

    def __enter__(self) -> Self:
        self._live.start()
        if self._console.file is sys.stderr:
            self._console.file = sys.stderr  # the terminal itself, whatever stands in for it
        self._lines.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        if self._state.campaign:
            size = Screen(self._console.width, _ENDLESS, self._unicode)
            self._console.print(draw(self._state, size))
        self._lines.end()

    def campaign_started(
        self, campaign: str, config: CampaignConfig, calls: int | None = None
    ) -> None:
        self._state.begin(campaign, config, calls)

    def campaign_extended(self, config: CampaignConfig, calls: int) -> None:
        self._state.extend(config, calls)

    def step_started(self, number: int, step: str, detail: str = "") -> None:
        self._state.start_step(number, step, detail)

    def step_advanced(self, done: int, total: int | None = None) -> None:
        if (view := self._state.running) is not None:
            view.done, view.total = done, total

    def step_finished(
        self, number: int, step: str, seconds: float, info: Mapping[str, Any]
    ) -> None:
        self._state.finish_step(number, step, seconds, info)

    def message(self, level: str, text: str) -> None:
        view = self._state.running
        if level == "info" and view is not None:
            view.detail = text  # what the step is at; only its latest word is of interest
        else:
            self._state.messages.append((level, text))

    def round_finished(self, summary: RoundSummary) -> None:
        self._state.finish_round(summary)

    def campaign_finished(self, summary: CampaignSummary) -> None:
        self._state.views.clear()

    def render(self) -> RenderableType:
        """Draw the whole display as large as the terminal is now."""
        return draw(self._state, Screen(self._console.width, self._console.height, self._unicode))
