"""A display that stays in place on a terminal: rounds, steps, funnel, hits, budget."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from design_loop.progress.state import DisplayState, StepView, duration

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.summary import CampaignSummary, RoundSummary

_MARKS = {"done": ("✓", "green"), "running": ("●", "cyan"), "pending": ("·", "dim")}
_ASCII_MARKS = {"done": "+", "running": ">", "pending": "."}
_LEVELS = {"warning": "yellow", "error": "red"}


class LiveProgress:
    """Redraws a few times per second what the events told.

    Parameters
    ----------
    console
        A terminal.
    state
        For tests: a state with another clock.
    """

    def __init__(self, console: Console, state: DisplayState | None = None) -> None:
        self._console = console
        self._state = state or DisplayState()
        self._unicode = console.encoding.lower().startswith("utf")
        self._live = Live(
            console=console, get_renderable=self.render, refresh_per_second=4, transient=False
        )

    @property
    def campaign(self) -> str:
        """Id of the campaign that began; empty before."""
        return self._state.campaign

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def campaign_started(self, campaign: str, config: CampaignConfig) -> None:
        self._state.begin(campaign, config)

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

    # -- drawing

    def render(self) -> RenderableType:
        """Draw the whole display."""
        state = self._state
        if not state.campaign:
            return Group(*self._messages())
        parts: list[RenderableType] = [self._header()]
        if any(number > 0 for number in state.rounds):
            parts.append(self._rounds())
        if state.steps:
            parts.append(self._steps())
        parts.append(self._footer())
        parts.extend(self._messages())
        return Group(*parts)

    def _header(self) -> Text:
        state = self._state
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(state.campaign, style="bold")
        head.append(f"  {state.host}  ", style="dim")
        head.append(f"elapsed {duration(state.clock() - state.started)}")
        head.append("\n" + "; ".join(state.targets), style="cyan")
        return head

    def _rounds(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("round", "samples", "valid", "new", "verified", "hits", "best error", "time"):
            table.add_column(name, justify="right")
        for number, summary in sorted(self._state.rounds.items()):
            if number == 0:
                continue
            funnel = summary.funnel
            repeats = sum(n for r, n in funnel.drops.items() if r.startswith("duplicate_in"))
            best = "-" if summary.best_error is None else f"{summary.best_error:.3f} eV"
            table.add_row(
                str(number),
                str(funnel.samples),
                str(funnel.candidates + repeats),
                str(funnel.candidates),
                str(funnel.verified),
                str(summary.hits),
                best,
                duration(summary.total_seconds),
            )
        return table

    def _steps(self) -> Table:
        state = self._state
        title = "Preparing" if state.round == 0 else f"Round {state.round} of {state.n_rounds}"
        table = Table(
            box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False, title=title,
            title_justify="left", title_style="bold", expand=True,
        )  # fmt: skip
        table.add_column(width=1)
        table.add_column(width=8, no_wrap=True)
        table.add_column(width=8, justify="right", no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for view in state.steps:
            mark, style = _MARKS[view.state]
            table.add_row(
                Text(mark if self._unicode else _ASCII_MARKS[view.state], style=style),
                Text(view.name, style="bold" if view.state == "running" else style),
                self._time(view),
                self._progress(view),
            )
        return table

    def _time(self, view: StepView) -> str:
        if view.state == "running":
            return duration(self._state.clock() - view.started)
        return "" if view.seconds is None else duration(view.seconds)

    def _progress(self, view: StepView) -> RenderableType:
        if view.state != "running" or not view.total:
            return Text(view.detail, style="" if view.state == "running" else "dim")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=20)
        grid.add_column(no_wrap=True)
        grid.add_row(
            ProgressBar(total=view.total, completed=view.done, width=20),
            f"{view.done}/{view.total} {escape(view.detail)}",
        )
        return grid

    def _footer(self) -> Text:
        state = self._state
        best = state.best_error
        line = Text()
        line.append(f"{state.hits} meet all targets", style="bold green" if state.hits else "")
        line.append("" if best is None else f", best error {best:.3f} eV")
        if state.budget:
            line.append(f", oracle calls {state.oracle_calls} of {state.budget}")
        if state.drops:
            reasons = "  ".join(f"{reason} {n}" for reason, n in state.drops.most_common())
            line.append(f"\ndropped  {reasons}", style="dim")
        return line

    def _messages(self) -> list[Text]:
        return [Text(text, style=_LEVELS.get(level, "dim")) for level, text in self._state.messages]
