"""The states of a campaign's parts, and which of them are final."""

from __future__ import annotations

from enum import StrEnum

#: The steps of a round, in order; round 0 prepares the first surrogate and the first adapter.
ROUND_STEPS = ("generate", "check", "predict", "select", "verify", "learn")
PREPARE_STEPS = ("prepare",)


class CampaignState(StrEnum):
    """Where a campaign stands."""

    CREATED = "created"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"


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
    """Where an oracle call stands."""

    PENDING = "pending"
    FAILED = "failed"
    DONE = "done"


class Source(StrEnum):
    """Who vouches for a label."""

    ORACLE = "oracle"
    SURROGATE = "surrogate"
    DATASET = "dataset"
