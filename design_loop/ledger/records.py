"""What the ledger takes and gives: plain, immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from design_loop.ledger.states import CampaignState, Source, StepState


@dataclass(frozen=True)
class Sample:
    """One raw answer of the model.

    Attributes
    ----------
    index
        Number within the round, from 0.
    asked
        Property values the prompt asked for, property -> value.
    text
        The answer as it came.
    finish_reason
        Why the model stopped (``stop``, ``length``, ...).
    adapter
        Name of the adapter that made it.
    prompt
        The prompt, where it is worth keeping.
    arm
        Number of the setting that it was asked with; the settings are in the info of the round's
        step ``generate``. None where nothing was set.
    """

    index: int
    asked: Mapping[str, Any]
    text: str
    finish_reason: str
    adapter: str
    prompt: str | None = None
    arm: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A valid, new configuration of a campaign.

    Attributes
    ----------
    key
        Canonical key, equal for symmetry-equivalent configurations; unique in a campaign.
    configuration
        `Configuration.to_dict()`.
    description
        Its defects in words, such as ``Se_S+V_S``.
    asked
        The properties that were asked for where it was proposed.
    round
        The round that found it; set by the ledger.
    """

    key: str
    configuration: Mapping[str, Any]
    description: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    round: int = -1


@dataclass(frozen=True)
class Check:
    """What became of a sample: a candidate, or a reason for the drop.

    A dropped duplicate may name the candidate it repeats in ``candidate``.
    """

    index: int
    candidate: str | None = None
    drop_reason: str | None = None
    drop_detail: str | None = None

    def __post_init__(self) -> None:
        if self.candidate is None and not self.drop_reason:
            raise ValueError(f"sample {self.index}: neither a candidate nor a reason for the drop")


@dataclass(frozen=True)
class CheckedSample:
    """A sample together with what became of it (``checked`` false: not looked at yet)."""

    sample: Sample
    checked: bool
    candidate: str | None
    drop_reason: str | None
    drop_detail: str | None


@dataclass(frozen=True)
class Prediction:
    """What a surrogate says of a candidate.

    Attributes
    ----------
    candidate
        Key.
    mean, std
        Property -> value and its spread, in the property's unit.
    surrogate_error
        Distance between what was asked for and ``mean``.
    out_of_domain
        Whether it lies outside of what the surrogate was fitted to, so that ``std`` does not hold;
        None where a record of an older version does not say.
    """

    candidate: str
    mean: Mapping[str, float]
    std: Mapping[str, float]
    surrogate_error: float
    out_of_domain: bool | None = None


@dataclass(frozen=True)
class Selection:
    """A candidate chosen for the oracle, with the reason in words.

    ``oracle_key`` is the content key of the call; None in a campaign without an oracle. ``parts``
    is the reason for programs (`design_loop.selection.Choice`); empty in older records.
    """

    candidate: str
    rank: int
    reason: str
    oracle_key: str | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageCall:
    """A candidate that a later stage of the oracle was given, with the reason in words."""

    candidate: str
    rank: int
    reason: str
    oracle_key: str


@dataclass(frozen=True)
class ExternalCall:
    """A call whose answer comes from outside, and the round that asked for it."""

    round: int
    oracle_key: str


@dataclass(frozen=True)
class PendingCall:
    """A selected candidate that still has no label.

    Attributes
    ----------
    tries
        How often its call failed, in whichever campaign.
    quarantined
        Why nobody tries it again, or None.
    """

    candidate: str
    configuration: Mapping[str, Any]
    oracle_key: str
    rank: int
    tries: int
    quarantined: str | None = None


@dataclass(frozen=True)
class CallFailure:
    """A failed try of an oracle call; ``final`` puts the call into quarantine.

    ``kind`` is ``Timeout``, ``Crash``, ``OutOfMemory`` or the name of an exception.
    """

    error: str
    final: bool
    seconds: float | None = None
    kind: str | None = None
    traceback: str | None = None


@dataclass(frozen=True)
class QuarantinedCall:
    """An oracle call that nobody tries again, with its last failure in this campaign."""

    candidate: str
    oracle_key: str
    round: int
    tries: int
    failure: CallFailure
    time: datetime


@dataclass(frozen=True)
class Label:
    """Property values of a candidate and who vouches for them.

    ``origin`` says ``imported:NAME`` where the label came from outside.
    """

    candidate: str
    configuration: Mapping[str, Any]
    source: Source
    properties: Mapping[str, float]
    round: int
    oracle_key: str | None
    seconds: float | None
    time: datetime
    origin: str | None = None


@dataclass(frozen=True)
class Verified:
    """A candidate with the oracle's label, what was asked for and what was predicted.

    ``prediction`` is the one it was selected by; None if it was never predicted.
    """

    candidate: Candidate
    label: Label
    prediction: Prediction | None
    surrogate: str | None
    reason: str | None


@dataclass(frozen=True)
class Adapter:
    """A finished adapter; ``round`` is the one that made it, set by the ledger."""

    name: str
    path: str
    manifest: Mapping[str, Any]
    round: int = -1


@dataclass(frozen=True)
class Surrogate:
    """A fitted surrogate; ``round`` is the one that made it, set by the ledger."""

    version: str
    path: str
    manifest: Mapping[str, Any]
    round: int = -1


@dataclass(frozen=True)
class Campaign:
    """A campaign as the ledger knows it; ``config`` is what was validated at its start."""

    id: str
    name: str
    config: Mapping[str, Any]
    config_hash: str
    seed: int
    workdir: str
    versions: Mapping[str, str]
    state: CampaignState
    created: datetime
    updated: datetime
    error: str | None


@dataclass(frozen=True)
class Round:
    """A round and the names of what it works with."""

    number: int
    state: StepState
    adapter: str | None
    surrogate: str | None
    started: datetime
    finished: datetime | None


@dataclass(frozen=True)
class Step:
    """A step of a round; ``info`` is what it wanted to be remembered (counts, paths, settings)."""

    round: int
    name: str
    state: StepState
    attempts: int
    started: datetime | None
    finished: datetime | None
    seconds: float | None
    info: Mapping[str, Any]
    error: str | None


@dataclass(frozen=True)
class Event:
    """A message of a campaign."""

    id: int
    time: datetime
    level: str
    message: str
    round: int | None


@dataclass(frozen=True)
class Funnel:
    """How many samples of a round (or campaign) reached which stage.

    Attributes
    ----------
    samples, checked, candidates, predicted, selected, verified, failed, earlier
        Counts; of the selected the oracle gave up on ``failed``; earlier rounds found ``earlier``.
    drops
        Drop reason -> count; with ``candidates`` they add up to ``checked``.
    """

    samples: int
    checked: int
    drops: Mapping[str, int]
    candidates: int
    predicted: int
    selected: int
    verified: int
    failed: int
    earlier: int = 0
