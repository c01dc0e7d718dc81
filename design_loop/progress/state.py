"""What the displays know of a campaign: the events so far, as plain data."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from design_loop.ledger import PREPARE_STEPS, ROUND_STEPS
from design_loop.pace import seconds_left, usual_seconds
from design_loop.summary import error_unit, oracle_budget

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.summary import RoundSummary


@dataclass
class StepView:
    """A step of the current round: ``pending``, ``running`` or ``done``."""

    name: str
    state: str = "pending"
    detail: str = ""
    seconds: float | None = None
    started: float = 0.0
    done: int = 0
    total: int | None = None


@dataclass
class DisplayState:
    """The campaign as far as events have told it.

    Attributes
    ----------
    clock
        Seconds, monotonic; replaced in tests.
    budget
        Oracle calls that all rounds together may make; 0 without an oracle.
    unit
        Of distances to the targets.
    models
        Kind -> name of the latest adapter and surrogate.
    standing
        What is to be said of the campaign as a whole, such as that nobody drives it; mostly empty.
    """

    clock: Callable[[], float] = time.monotonic
    campaign: str = ""
    host: str = ""
    targets: tuple[str, ...] = ()
    n_rounds: int = 0
    budget: int = 0
    unit: str = ""
    started: float = 0.0
    round: int = 0
    views: dict[int, list[StepView]] = field(default_factory=dict)
    rounds: dict[int, RoundSummary] = field(default_factory=dict)
    drops: Counter[str] = field(default_factory=Counter)
    models: dict[str, str] = field(default_factory=dict)
    standing: str = ""
    messages: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=20))

    def begin(self, campaign: str, config: CampaignConfig, calls: int | None = None) -> None:
        """Take over what the configuration says; `calls` where its budget did not always count."""
        nx, ny, _ = config.host.supercell
        self.campaign = campaign
        self.host = f"{config.host.name} {nx}×{ny}"
        self.targets = tuple(target.text() for target in config.targets)
        self.unit = error_unit(config.targets, config.own_properties)
        self.n_rounds = config.rounds
        self.budget = oracle_budget(config) if calls is None else calls
        self.started = self.clock()

    def extend(self, config: CampaignConfig, calls: int) -> None:
        """Take over what was added to the configuration, and the calls of all rounds together."""
        self.n_rounds = config.rounds
        self.budget = calls

    @property
    def steps(self) -> list[StepView]:
        """Steps of the current round; none before the first."""
        return self.views.get(self.round, [])

    def step(self, number: int, name: str) -> StepView:
        """The view of a step; makes the view of a round at its first step."""
        names = PREPARE_STEPS if number == 0 else ROUND_STEPS
        views = self.views.setdefault(number, [StepView(n) for n in names])
        for view in views:
            if view.name == name:
                return view
        # Something the round does not list, such as bringing the models up: it comes first.
        pending = next((i for i, v in enumerate(views) if v.state == "pending"), len(views))
        views.insert(pending, StepView(name))
        return views[pending]

    @property
    def running(self) -> StepView | None:
        """The step at work, if any."""
        return next((view for view in self.steps if view.state == "running"), None)

    def start_step(self, number: int, name: str, detail: str) -> StepView:
        """Mark a step running."""
        self.round = number
        view = self.step(number, name)
        view.state, view.detail, view.started = "running", detail, self.clock()
        view.done, view.total = 0, None
        return view

    def finish_step(
        self, number: int, name: str, seconds: float, info: Mapping[str, Any]
    ) -> StepView:
        """Mark a step done and keep what it tells."""
        self.round = max(self.round, number)
        view = self.step(number, name)
        view.state, view.seconds, view.detail = "done", seconds, describe(info)
        for kind in ("adapter", "surrogate"):
            if isinstance(name_of := info.get(kind), str):
                self.models[kind] = name_of
        if isinstance(drops := info.get("drops"), Mapping):
            self.drops.update({str(k): int(v) for k, v in drops.items()})
        return view

    def finish_round(self, summary: RoundSummary) -> None:
        """Keep a round's figures; the ledger's count of drops replaces what steps told."""
        self.rounds[summary.number] = summary
        self.drops = Counter()
        for known in self.rounds.values():
            self.drops.update(known.funnel.drops)

    @property
    def typical(self) -> dict[str, float]:
        """Step -> seconds that it takes: the mean of the latest three rounds that have it."""
        taken: list[tuple[str, float]] = []
        for number in sorted(set(self.rounds) | set(self.views)):
            known = dict(self.rounds[number].seconds) if number in self.rounds else {}
            known |= {
                v.name: v.seconds for v in self.views.get(number, ()) if v.seconds is not None
            }
            taken += known.items()
        return usual_seconds(taken)

    @property
    def remaining(self) -> float | None:
        """Seconds until the last round is done, by what steps took so far; None while unknown."""
        open_ = {
            view.name: self.clock() - view.started if view.state == "running" else 0.0
            for view in self.steps
            if self.round and view.name in ROUND_STEPS and view.state != "done"
        }
        return seconds_left(self.typical, self.n_rounds - self.round, open_)

    @property
    def oracle_calls(self) -> int:
        """Oracle calls finished so far, well or badly."""
        finished = sum(r.funnel.verified + r.funnel.failed for r in self.rounds.values())
        current = next((v for v in self.steps if v.name == "verify"), None)
        return finished + (current.done if current and self.round not in self.rounds else 0)

    @property
    def hits(self) -> int:
        """Verified candidates that meet all targets, in the finished rounds."""
        return sum(r.hits for r in self.rounds.values())

    @property
    def best_error(self) -> float | None:
        """Smallest distance to the targets in the finished rounds, in `unit`."""
        errors = [r.best_error for r in self.rounds.values() if r.best_error is not None]
        return min(errors, default=None)


def describe(info: Mapping[str, Any]) -> str:
    """The numbers and words of a step's info in a line: ``192 samples, adapter r001-0a1b``."""
    parts = []
    for key, value in info.items():
        words = key.replace("_", " ")
        if isinstance(value, bool) or value is None or isinstance(value, (Mapping, list, tuple)):
            continue
        if isinstance(value, float):
            parts.append(f"{words} {value:.3g}")
        elif isinstance(value, int):
            parts.append(f"{value} {words}")
        elif len(str(value)) <= 32:
            parts.append(f"{words} {value}")
    return ", ".join(parts[:4])


def in_unit(distance: float, unit: str) -> str:
    """A distance to the targets: ``0.012 eV``; bare where its properties differ in their unit."""
    return f"{distance:.3f} {unit}".rstrip()


def duration(seconds: float) -> str:
    """``42 s``, ``3:07`` or ``1:02:03``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
