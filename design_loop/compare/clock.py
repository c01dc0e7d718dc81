"""A campaign's own clock: when each label came, pauses between its sessions left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from design_loop.ledger import Label, Ledger, Source, Step, overviews

#: Event with which a comparison marks that it goes on with a campaign: a pause ends here.
GOES_ON = "the comparison goes on with it"
#: A label that is older than its call by more was taken over, s; both are written in one
#: transaction where it was computed.
_TAKEN_OVER = 1.0


@dataclass(frozen=True)
class TimedLabel:
    """A label of the oracle and when it came.

    Attributes
    ----------
    label : Label
    seconds : float
        Time that the campaign had taken.
    own_seconds : float
        Of it what it took outside its steps ``verify``, where the oracle works.
    """

    label: Label
    seconds: float
    own_seconds: float


@dataclass(frozen=True)
class Clock:
    """The labels of a campaign in their order, and what it took to its end.

    Counted are the models' start (until the first step begins) and of every step the run that
    finished it. What an earlier run of ``verify`` had computed is counted for as long as the oracle
    was at work; a label that another campaign had computed costs what it cost there, divided by how
    many calls are under way at a time, in this campaign and in those that computed for it. Pauses,
    and later starts of the models, are not counted.
    """

    labels: tuple[TimedLabel, ...]
    seconds: float
    own_seconds: float


def read_clock(ledger: Ledger, campaign: str) -> Clock:
    """Read when the oracle's labels of a campaign came."""
    steps = ledger.steps(campaign)
    created = ledger.campaign(campaign).created
    sessions = [e.time for e in ledger.events(campaign) if e.message == GOES_ON]
    labels = [v for v in ledger.labels(campaign) if v.source is not Source.SURROGATE]
    sources = _sources(ledger, campaign)
    computed = {_id(v) for v in sources.get(campaign, ())}
    together = _calls_at_a_time(sources.values())
    own = seconds = _startup(steps, created, sessions)
    timed: list[TimedLabel] = []
    for step in steps:
        if step.name == "verify" and step.started is not None:
            mine = [v for v in labels if v.round == step.round]
            paid = 0.0
            for label, before, here in _within(step, mine, computed, together):
                paid = before
                if label.source is Source.ORACLE:
                    timed.append(TimedLabel(label, seconds + before + here, own))
            seconds += paid
        else:
            own += step.seconds or 0.0
        seconds += step.seconds or 0.0
    return Clock(tuple(timed), seconds, own)


def _startup(steps: Sequence[Step], created: datetime, sessions: Sequence[datetime]) -> float:
    """Seconds until the first step began: models that had to be brought up.

    Of the session that began it. Zero where that step was run again and no session is marked, for
    then a pause of unknown length lies in between.
    """
    first = next((s for s in steps if s.started is not None), None)
    if first is None or first.started is None:
        return 0.0
    marked = [moment for moment in sessions if moment <= first.started]
    if first.attempts > 1 and not marked:
        return 0.0
    return max(0.0, (first.started - max([created, *marked])).total_seconds())


def _within(
    step: Step, labels: Sequence[Label], computed: set[tuple[str, str]], together: float
) -> Iterable[tuple[Label, float, float]]:
    """(label, seconds paid for what this run of the step did not compute, seconds into the run)."""
    assert step.started is not None
    early = [v for v in labels if _id(v) in computed and v.time < step.started]
    bought = 0.0
    for label in labels:
        if _id(label) not in computed:
            bought += (label.seconds or 0.0) / together
        here = max(0.0, (label.time - step.started).total_seconds())
        # The wall clock may have been set, or the machine have slept.
        yield label, bought + _busy(early, label.time), min(here, step.seconds or here)


def _busy(computed: Sequence[Label], until: datetime) -> float:
    """For how many seconds, up to a moment, at least one of some calls was under way."""
    total, covered = 0.0, float("-inf")
    for begin, end in sorted(_span(v) for v in computed):
        end = min(end, until.timestamp())
        total += max(0.0, end - max(begin, covered))
        covered = max(covered, end)
    return total


def _calls_at_a_time(sources: Iterable[Sequence[Label]]) -> float:
    """How many calls were under way on average, while any of the campaign was; at least 1."""
    work = busy = 0.0
    for computed in sources:
        # Each by itself: two campaigns that ran side by side are no batch of twice the size.
        work += sum(v.seconds or 0.0 for v in computed)
        busy += _busy(computed, max(v.time for v in computed))
    return max(1.0, work / busy) if busy else 1.0


def _span(label: Label) -> tuple[float, float]:
    end = label.time.timestamp()
    return end - (label.seconds or 0.0), end


def _sources(ledger: Ledger, campaign: str) -> dict[str, list[Label]]:
    """Who computed labels of a campaign, it may be itself -> all labels that they computed."""
    with ledger.reading() as connection:
        sharing = overviews.sharing_calls(connection, campaign)
        finished = {name: overviews.finished_calls(connection, name) for name in sharing}
    keys = finished.get(campaign, {}).keys()
    found = {
        name: [v for v in ledger.labels(name) if _computed_there(v, finished[name])]
        for name in sharing
    }
    return {
        name: computed
        for name, computed in found.items()
        if any(v.oracle_key in keys for v in computed)
    }


def _computed_there(label: Label, finished: Mapping[str, datetime]) -> bool:
    """Whether the campaign of a label had it computed, and did not take it over."""
    moment = finished.get(label.oracle_key or "")
    return moment is not None and (label.time - moment).total_seconds() < _TAKEN_OVER


def _id(label: Label) -> tuple[str, str]:
    return label.candidate, label.source
