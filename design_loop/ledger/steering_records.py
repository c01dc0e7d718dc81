"""What people asked of a campaign, and where a fork comes from: plain, immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from design_loop.ledger.states import Action, Outcome


@dataclass(frozen=True)
class ControlRequest:
    """A pause or a stop that somebody asked for; without an outcome it still waits."""

    action: Action
    time: datetime
    by: str
    answered: datetime | None
    outcome: Outcome | None


@dataclass(frozen=True)
class Amendment:
    """A change to what a campaign was started with.

    Attributes
    ----------
    number
        From 1, in order.
    time, by
        When, and who asked for it.
    rounds
        Rounds added.
    budget
        Oracle calls per round of the choices that came after.
    stage
        Stage of the oracle that the budget is of, from 1.
    first_round
        First round that the budget counts for: the stage had not been given its calls there yet.
    """

    number: int
    time: datetime
    rounds: int | None
    budget: int | None
    by: str
    stage: int = 1
    first_round: int = 1


@dataclass(frozen=True)
class Lineage:
    """Where a fork comes from.

    Attributes
    ----------
    parent
        Id of a campaign.
    rounds
        The round that the parent was in.
    labels
        How many the fork took over.
    adapter, surrogate
        Names of the parent's models that the fork began with; None where it made its own.
    time
        When.
    """

    parent: str
    rounds: int
    labels: int
    adapter: str | None
    surrogate: str | None
    time: datetime


@dataclass(frozen=True)
class Inherited:
    """A label that a fork took over; ``origin`` is the campaign that made it."""

    candidate: str
    configuration: Mapping[str, Any]
    properties: Mapping[str, float]
    oracle_key: str | None
    origin: str
