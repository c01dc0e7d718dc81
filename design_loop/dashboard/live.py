"""How a campaign stands right now: the part of its page that is asked for again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from design_loop.ledger import Campaign, Step, StepState, overviews, queries
from design_loop.ledger.reader import LedgerReader
from design_loop.pace import Pace, pace, planned_calls
from design_loop.progress.state import duration
from design_loop.views.html import Markup, join, tag
from design_loop.views.naming import STATES, failure

#: Seconds until a page asks again, while a campaign runs and while it rests.
RUNNING_S, RESTING_S = 2, 15
_MARKS = {
    StepState.DONE: "✓",
    StepState.RUNNING: "●",
    StepState.FAILED: "✗",
    StepState.PENDING: "○",
}


@dataclass(frozen=True)
class Live:
    """What a page is told.

    Attributes
    ----------
    stamp : str
        Another one means that the rest of the page is out of date.
    html : Markup
    wait_s : int
        When to ask again, s.
    """

    stamp: str
    html: Markup
    wait_s: int


def read_live(ledger: LedgerReader, campaign: Campaign, now: datetime | None = None) -> Live:
    """Read how a campaign stands."""
    now = now or datetime.now(UTC)
    steps = ledger.steps(campaign.id)
    with ledger.reading() as connection:
        amendments = queries.amendments(connection, campaign.id)
        timing = pace(campaign, steps, amendments, now)
        stamp = overviews.stamp(connection, campaign.id)
        calls = overviews.oracle_progress(connection, campaign.id, timing.round)
        expiry = overviews.lease_expiry(connection, campaign.id)
    budget = planned_calls(campaign.config, amendments)
    running = str(campaign.state) == "running"
    # A driver that was killed leaves the state behind; its lease tells.
    lost = running and (expiry is None or expiry < now)
    parts = [
        _state(campaign, timing, lost, expiry),
        _steps(timing, lost),
        _bars(timing, calls, budget, running and not lost),
    ]
    wait = RUNNING_S if running and not lost else RESTING_S
    return Live(stamp, tag("section", join(parts), class_="live"), wait)


def _state(campaign: Campaign, timing: Pace, lost: bool, expiry: datetime | None) -> Markup:
    state = str(campaign.state)
    words = STATES.get(state, state)
    error = failure(campaign)
    said = ""
    if lost:
        words, state = "no driver", "lost"
        since = f" since {expiry:%Y-%m-%d %H:%M} UTC" if expiry else ""
        said = (
            f"It is marked running, but its driver has not been heard of{since}. Nothing is lost: "
            f"design-loop campaign resume {campaign.id}"
        )
    elif error:
        said = error
    where = f"round {timing.round} of {timing.rounds}" if timing.steps else "not begun"
    if timing.running is not None and not lost:
        where += f", {timing.running.name}"
    badge = tag("b", words, class_=f"badge {state if state in STATES else 'lost'}")
    line = tag("p", badge, " ", tag("span", where), class_="state", role="status")
    return join([line, tag("p", said, class_="error" if error or lost else None) if said else ""])


def _steps(timing: Pace, lost: bool) -> Markup:
    if not timing.steps:
        return Markup("")
    return tag("ol", join(_step(s, timing, lost) for s in timing.steps), class_="steps")


def _step(step: Step, timing: Pace, lost: bool) -> Markup:
    running = step is timing.running and not lost
    state = step.state if running or step.state is not StepState.RUNNING else StepState.FAILED
    time = ""
    if running and timing.elapsed_s is not None:
        time = duration(timing.elapsed_s)
    elif step.state is StepState.DONE and step.seconds is not None:
        time = duration(step.seconds)
    return tag(
        "li",
        tag("span", _MARKS[state], aria_hidden="true"),
        tag("b", step.name),
        tag("small", time or str(state.value)),
        class_=str(state.value),
        aria_current="step" if running else None,
    )


def _bars(timing: Pace, calls: overviews.OracleProgress, budget: int, driven: bool) -> Markup:
    bars = []
    step = timing.running
    if step is not None and driven:
        if step.name == "verify" and calls.selected:
            bars.append(_bar("this round's oracle calls", calls.finished_here, calls.selected))
        elif timing.expected_s:
            part = min((timing.elapsed_s or 0) / timing.expected_s, 1)
            words = f"{step.name}, usually {duration(timing.expected_s)}"
            bars.append(_bar(words, round(100 * part), 100, " %"))
    if budget:
        bars.append(_bar("oracle calls", calls.finished, budget))
    left = ""
    if timing.remaining_s is not None and driven:
        left = f"about {duration(timing.remaining_s)} to go at the pace of the latest rounds"
    worked = f"{duration(timing.worked_s)} of work in finished steps"
    bars.append(tag("p", "; ".join(w for w in (left, worked) if w), class_="small"))
    return tag("div", join(bars), class_="meters")


def _bar(words: str, value: int, most: int, unit: str = "") -> Markup:
    said = f"{value}{unit}" if unit else f"{value:,} of {most:,}"
    meter = tag("progress", said, value=min(value, most), max=most, aria_label=words)
    return tag("div", tag("span", words), meter, tag("span", said), class_="meter")
