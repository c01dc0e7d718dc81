"""The states of a campaign's parts, and which of them are final."""

from __future__ import annotations

from enum import StrEnum

#: The steps of a round, in order; round 0 prepares the first surrogate and the first adapter.
ROUND_STEPS = ("generate", "check", "predict", "select", "verify", "learn")
PREPARE_STEPS = ("prepare",)


class CampaignState(StrEnum):
    """Where a campaign stands.

    ``waiting``: for labels from outside. ``paused``: by its user, who wants it to go on.
    ``stopped``: an end that its user chose. These and ``failed`` go on by ``resume``.
    """

    CREATED = "created"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"

    @property
    def following(self) -> frozenset[CampaignState]:
        """The states that may come next."""
        return TRANSITIONS[self]


_C = CampaignState
#: Running follows running where a killed driver is replaced. What is done goes on once extended.
TRANSITIONS: dict[CampaignState, frozenset[CampaignState]] = {
    _C.CREATED: frozenset({_C.RUNNING, _C.PAUSED, _C.STOPPED, _C.FAILED}),
    _C.RUNNING: frozenset({_C.RUNNING, _C.WAITING, _C.PAUSED, _C.STOPPED, _C.FAILED, _C.DONE}),
    _C.WAITING: frozenset({_C.RUNNING, _C.PAUSED, _C.STOPPED}),
    _C.PAUSED: frozenset({_C.RUNNING, _C.STOPPED}),
    _C.STOPPED: frozenset({_C.RUNNING}),
    _C.FAILED: frozenset({_C.RUNNING}),
    _C.DONE: frozenset({_C.PAUSED}),
}


class Action(StrEnum):
    """What the user of a campaign may ask for."""

    PAUSE = "pause"
    STOP = "stop"
    RESUME = "resume"
    EXTEND = "extend"


#: State -> what may be asked for in it.
ACTIONS: dict[CampaignState, frozenset[Action]] = {
    _C.CREATED: frozenset(Action),
    _C.RUNNING: frozenset(Action),
    _C.WAITING: frozenset(Action),
    _C.PAUSED: frozenset({Action.STOP, Action.RESUME, Action.EXTEND}),
    _C.STOPPED: frozenset({Action.RESUME, Action.EXTEND}),
    _C.FAILED: frozenset({Action.RESUME}),
    _C.DONE: frozenset({Action.EXTEND}),
}


def why_not(action: Action, state: CampaignState) -> str | None:
    """Say why an action makes no sense in a state, and what does; None where it is fine.

    ``resume`` of a running campaign is for the lease to judge: its driver may be dead.
    """
    if action in ACTIONS[state]:
        return None
    if state is _C.FAILED:
        what = "it failed; see why with `campaign show`, mend it, and `campaign resume` goes on"
        return f"{what}, after which it can be extended" if action is Action.EXTEND else what
    if state is _C.DONE:
        return "it is done; `campaign extend` adds rounds, `campaign fork` asks for other targets"
    return f"it is {state} already"


class Outcome(StrEnum):
    """What became of a request to pause or stop; one without an outcome still waits."""

    DONE = "done"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    TOO_LATE = "too_late"


class StepState(StrEnum):
    """Where a step stands; a round is only ever running or done."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"

    @property
    def is_final(self) -> bool:
        """Whether the row can no longer change; a failed step may be tried again."""
        return self is StepState.DONE


class CallState(StrEnum):
    """Where an oracle call stands; one in quarantine failed too often or cannot succeed."""

    PENDING = "pending"
    QUARANTINED = "quarantined"
    DONE = "done"


class Source(StrEnum):
    """Who vouches for a label.

    ``oracle`` is the campaign's last word on a candidate; the labels of cheaper stages before it
    only pick what it sees.
    """

    ORACLE = "oracle"
    STAGE_1 = "stage_1"
    STAGE_2 = "stage_2"
    SURROGATE = "surrogate"
    DATASET = "dataset"
