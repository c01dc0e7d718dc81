"""The sections that say how the language model's settings change between rounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from design_loop.config.base import Section
from design_loop.config.problems import Problem


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{bounds[0]:g} is above {bounds[1]:g}; write the lower bound first")
    return bounds


Temperature = Annotated[float, Field(gt=0, le=5)]
TopP = Annotated[float, Field(gt=0, le=1)]
Jitter = Annotated[float, Field(ge=0, le=10)]


class AdaptConfig(Section):
    """Settings that are tried side by side in every round, and follow what they yield."""

    enabled: bool = Field(
        False, description="try several settings per round and prefer what yields most"
    )
    arms: int = Field(
        4,
        ge=3,
        le=64,
        description="settings per round: the configured one to compare with, the best so far, "
        "which has half of the prompts, and others to try",
    )
    temperature: Annotated[tuple[Temperature, Temperature], AfterValidator(_ascending)] = Field(
        (0.7, 1.6), description="lowest and highest temperature"
    )
    top_p: Annotated[tuple[TopP, TopP], AfterValidator(_ascending)] = Field(
        (0.8, 1.0), description="lowest and highest top_p"
    )
    target_jitter: Annotated[tuple[Jitter, Jitter], AfterValidator(_ascending)] = Field(
        (0.0, 0.5), description="lowest and highest target_jitter"
    )
    parts: int = Field(
        3,
        ge=1,
        le=32,
        description="parts of a closed target; a part that yields more is asked for more often",
    )
    explore: float = Field(
        0.3, gt=0, le=1, description="share of the prompts that is spread evenly over the parts"
    )
    memory: int = Field(
        8, ge=1, le=1000, description="rounds back that count: older ones are of other adapters"
    )


class CollapseConfig(Section):
    """When answers have lost their diversity, and what is done about it."""

    enabled: bool = Field(
        True, description="watch the diversity of the answers and answer its loss"
    )
    fraction: float = Field(
        0.5, gt=0, lt=1, description="collapsed: a measure below this share of the first rounds'"
    )
    baseline_rounds: int = Field(2, ge=1, le=100, description="first rounds to compare with")
    floor: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="collapsed in any round: fewer of the valid answers are different crystals",
    )
    step: float = Field(
        0.25,
        gt=0,
        le=1,
        description="per collapsed round temperature, top_p and target_jitter move so far towards "
        "adapt's upper bounds; a healthy round takes one step back",
    )
    restart: bool = Field(
        True,
        description="after a collapse the adapter starts from the base, with half the extra "
        "weight of new data",
    )


def adaptation_problems(generation: Any) -> Iterator[Problem]:
    """Settings of the adaptation that contradict the rest of ``generation``."""
    adapt = generation.adapt
    prompts = generation.samples // generation.per_prompt
    if adapt.enabled and 2 * (adapt.arms - 1) > prompts:
        yield Problem(
            ("generation", "adapt", "arms"),
            f"{adapt.arms} settings need {2 * (adapt.arms - 1)} prompts, {generation.samples} "
            f"samples are {prompts} of {generation.per_prompt}; write fewer, or a smaller "
            "generation.per_prompt",
        )
