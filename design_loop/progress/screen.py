"""What the terminal shows of a campaign, drawn to fit it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from design_loop.progress.state import DisplayState, StepView, duration, in_unit

_MARKS = {"done": ("✓", "green"), "running": ("●", "cyan"), "pending": ("·", "dim")}
_ASCII_MARKS = {"done": "+", "running": ">", "pending": "."}
_LEVELS = {"warning": "yellow", "error": "red"}
#: From this many columns on, rounds and steps stand side by side.
WIDE = 120


@dataclass(frozen=True)
class Screen:
    """How much room there is.

    Attributes
    ----------
    width, height : int
        Columns and lines.
    unicode : bool
        Whether the terminal can show more than ASCII.
    """

    width: int = 80
    height: int = 24
    unicode: bool = True

    @property
    def wide(self) -> bool:
        """Whether blocks stand side by side."""
        return self.width >= WIDE


def draw(state: DisplayState, screen: Screen) -> RenderableType:
    """Draw the whole display; never more lines than the terminal has.

    Where lines are short, the oldest rounds and messages go first, then the blank lines.
    """
    if not state.campaign:
        return Group(*_messages(state, screen.height))
    head, foot = _header(state), _footer(state, screen)
    steps, done = len(state.steps), sum(number > 0 for number in state.rounds)
    below = 0 if not steps else steps + 1
    foot = foot[: max(1, screen.height - len(head) - below)]
    spare = screen.height - len(head) - len(foot)
    if not screen.wide:
        spare -= below
    # The table's heading is a line too; messages get two lines before older rounds get theirs.
    talk = min(len(state.messages), 2)
    room = spare - 1 - talk
    rounds = max(0, min(done, room - 2 if room > 4 else room))
    above = rounds + 1 if rounds else 0
    used = max(above, below) if screen.wide else above
    messages = max(0, min(len(state.messages), spare - used, 8))
    blanks = spare - used - messages
    parts: list[RenderableType] = [*head]
    blocks = [_rounds(state, rounds)] if rounds else []
    blocks += [_steps(state, screen)] if steps else []
    if screen.wide and len(blocks) == 2:
        side = Table.grid(padding=(0, 4, 0, 0), expand=True)
        side.add_column(no_wrap=True)
        side.add_column(ratio=1)
        side.add_row(*blocks)
        blocks = [side]
    for block in [*blocks, Group(*foot)]:
        if blanks > 0:
            parts.append(Text(""))
            blanks -= 1
        parts.append(block)
    if messages and blanks > 0:
        parts.append(Text(""))
    return Group(*parts, *_messages(state, messages))


def _line(*parts: tuple[str, str]) -> Text:
    """One line, cut where the terminal ends."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for text, style in parts:
        line.append(text, style=style)
    return line


def _header(state: DisplayState) -> list[Text]:
    elapsed = f"elapsed {duration(state.clock() - state.started)}"
    left = state.remaining
    if left is not None and left >= 1:
        elapsed += f", about {duration(left)} left"
    first = _line((state.campaign, "bold"), (f"  {state.host}  ", "dim"), (elapsed, ""))
    lines = [first, _line(("; ".join(state.targets), "cyan"))]
    if state.standing:
        lines.append(_line((state.standing, "yellow")))
    return lines


def _rounds(state: DisplayState, latest: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("round", "samples", "valid", "new", "verified", "hits", "best error", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    known = [item for item in sorted(state.rounds.items()) if item[0] > 0]
    for number, summary in known[-latest:]:
        funnel = summary.funnel
        repeats = sum(n for r, n in funnel.drops.items() if r.startswith("duplicate_in"))
        best = "-" if summary.best_error is None else in_unit(summary.best_error, state.unit)
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


def _steps(state: DisplayState, screen: Screen) -> Table:
    title = "Preparing" if state.round == 0 else f"Round {state.round} of {state.n_rounds}"
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False, title=title,
        title_justify="left", title_style="bold", expand=True,
    )  # fmt: skip
    table.add_column(width=1)
    table.add_column(width=8, no_wrap=True)
    table.add_column(width=8, justify="right", no_wrap=True)
    table.add_column(width=8, no_wrap=True, style="dim")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    typical = state.typical
    for view in state.steps:
        mark, style = _MARKS[view.state]
        usual = typical.get(view.name)
        open_ = view.state != "done" and usual is not None
        table.add_row(
            Text(mark if screen.unicode else _ASCII_MARKS[view.state], style=style),
            Text(view.name, style="bold" if view.state == "running" else style),
            _time(state, view),
            f"of {duration(usual)}" if open_ and usual is not None else "",
            _progress(view),
        )
    return table


def _time(state: DisplayState, view: StepView) -> str:
    if view.state == "running":
        return duration(state.clock() - view.started)
    return "" if view.seconds is None else duration(view.seconds)


def _progress(view: StepView) -> RenderableType:
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


def _footer(state: DisplayState, screen: Screen) -> list[Text]:
    best = ""
    if state.best_error is not None:
        best = f", best error {in_unit(state.best_error, state.unit)}"
    hits = (f"{state.hits} meet all targets", "bold green" if state.hits else "")
    calls = [f"oracle calls {state.oracle_calls} of {state.budget}"] if state.budget else []
    first = f"{hits[0]}{best}"
    if calls and len(first) + len(calls[0]) + 2 <= screen.width:
        lines = [_line(hits, (f"{best}, {calls.pop()}", ""))]
    else:
        lines = [_line(hits, (best, ""))]
    lines += [_line((text, "")) for text in calls]
    finished = [r.funnel for number, r in state.rounds.items() if number > 0]
    if finished:
        arrow = " → " if screen.unicode else " > "
        samples = sum(f.samples for f in finished)
        new, seen = sum(f.candidates for f in finished), sum(f.verified for f in finished)
        funnel = [f"{samples} samples", f"{new} new", f"{seen} verified", f"{state.hits} hits"]
        lines.append(_line(("funnel   ", "dim"), (arrow.join(funnel), "")))
    drops = [f"{reason} {n}" for reason, n in state.drops.most_common()]
    lines += _packed("dropped", drops, screen.width)
    lines += _packed("models", [f"{kind} {name}" for kind, name in state.models.items()],
                     screen.width)  # fmt: skip
    return lines


def _packed(title: str, items: list[str], width: int) -> list[Text]:
    """Items in one or two lines, whole as far as they fit."""
    rows: list[list[str]] = [[]]
    for item in items:
        if rows[-1] and 9 + len("  ".join([*rows[-1], item])) > width and len(rows) < 2:
            rows.append([])
        rows[-1].append(item)
    titles = (title, "")
    return [
        _line((f"{head:<9}{'  '.join(row)}", "dim"))
        for head, row in zip(titles, rows, strict=False)
        if row
    ]


def _messages(state: DisplayState, latest: int) -> list[Text]:
    if latest < 1:
        return []
    return [_line((text, _LEVELS.get(level, "dim"))) for level, text in [*state.messages][-latest:]]
