"""Settings that the prompts of a round are asked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What Optuna's sampler chooses, as it is called in the campaign file.
SAMPLED = ("temperature", "top_p", "target_jitter")


@dataclass(frozen=True)
class Arm:
    """One setting of the sampling.

    Attributes
    ----------
    index : int
        Number within the round; 0 is the configured setting, 1 the best so far.
    temperature, top_p, target_jitter : float
        As in ``generation``.
    shares : mapping
        Property of a closed target -> how often each part of its range is asked for, from its low
        end to its high end; without an entry values are drawn evenly.
    """

    index: int
    temperature: float
    top_p: float
    target_jitter: float
    shares: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the ledger keeps it."""
        return {
            "index": self.index,
            **{name: round(getattr(self, name), 6) for name in SAMPLED},
            "shares": {name: [round(x, 6) for x in row] for name, row in self.shares.items()},
        }

    def describe(self) -> str:
        """``temperature 1.12, top_p 0.93, jitter 0.20``."""
        return (
            f"temperature {self.temperature:.2f}, top_p {self.top_p:.2f}, "
            f"jitter {self.target_jitter:.2f}"
        )


@dataclass(frozen=True)
class RoundPlan:
    """What a round is asked with.

    Attributes
    ----------
    arms : tuple of Arm
        The configured setting alone; or that, the best so far, which has every other prompt, and
        those that are tried, which share the rest with the first.
    told : int
        Earlier settings whose yield the sampler knew.
    heat : int
        Steps towards more randomness, after a collapse of diversity.
    """

    arms: tuple[Arm, ...]
    told: int = 0
    heat: int = 0

    def arm_of(self, prompt: int) -> Arm:
        """The arm that a prompt belongs to: in turn, so that a round cut short cuts all alike."""
        if len(self.arms) == 1:
            return self.arms[0]
        turn, best = divmod(prompt, 2)
        others = (self.arms[0], *self.arms[2:])
        return self.arms[1] if best else others[turn % len(others)]
