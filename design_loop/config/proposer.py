"""The section that says who proposes candidates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from design_loop.config.problems import Problem
from design_loop.config.sections import Section

ProposerKind = Literal["llm", "random", "genetic", "tpe", "gibbs", "nearest", "hybrid"]

#: The settings that each kind has.
SETTINGS: dict[str, tuple[str, ...]] = {
    "llm": ("feedback",),
    "random": ("screen",),
    "genetic": ("population", "mutation", "screen"),
    "tpe": ("startup", "batch"),
    "gibbs": ("sweeps", "beta_start", "beta_end", "distil"),
    "nearest": (),
    "hybrid": ("feedback", "steps", "moves"),
}
PROPOSER_KINDS: tuple[str, ...] = get_args(ProposerKind)


class ProposerConfig(Section):
    """Who proposes candidates; each setting belongs to the kinds named with it."""

    kind: ProposerKind = Field(
        "llm",
        description="language model; random screening; genetic algorithm; tree-structured Parzen "
        "estimator; Gibbs sampler; best of the dataset; language model refined by local moves",
    )
    feedback: bool = Field(
        True,
        description="llm, hybrid: a new adapter every round from what was verified; false keeps "
        "the first one",
    )
    screen: int = Field(
        1,
        ge=1,
        le=10_000,
        description="random, genetic: configurations that the surrogate sees per proposal; the "
        "best are proposed",
    )
    population: int = Field(
        32, ge=4, le=100_000, description="genetic: size of the population; half are children"
    )
    mutation: float = Field(
        0.5, ge=0, le=1, description="genetic: share of the children that are changed at random"
    )
    startup: int = Field(
        24, ge=1, le=100_000, description="tpe: trials before the estimator guides"
    )
    batch: int = Field(8, ge=1, le=1024, description="tpe: trials between two looks at the results")
    sweeps: int = Field(30, ge=1, le=100_000, description="gibbs: passes over all defects")
    beta_start: float = Field(
        0.05, gt=0, le=1000, description="gibbs: inverse temperature of the first pass"
    )
    beta_end: float = Field(2.0, gt=0, le=1000, description="gibbs: that of the last pass")
    distil: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="gibbs: random configurations from which the pairwise formula learns the "
        "surrogate, besides all labels",
    )
    steps: int = Field(6, ge=0, le=10_000, description="hybrid: local moves per proposal, at most")
    moves: int = Field(8, ge=1, le=10_000, description="hybrid: neighbours tried per step")

    @property
    def needs_model(self) -> bool:
        """Whether a language model is served and fine-tuned."""
        return self.kind in ("llm", "hybrid")

    @model_serializer(mode="wrap")
    def _own_settings(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only what belongs to the kind, so that what is written is also accepted."""
        return {k: v for k, v in handler(self).items() if k in ("kind", *SETTINGS[self.kind])}


def proposer_problems(proposer: ProposerConfig) -> Iterator[Problem]:
    """Settings of other kinds, and settings that contradict each other."""
    for name in sorted(proposer.model_fields_set - {"kind", *SETTINGS[proposer.kind]}):
        owners = [kind for kind, names in SETTINGS.items() if name in names]
        yield Problem(
            ("proposer", name),
            f"is a setting of {' and '.join(owners)}, not of {proposer.kind}; remove it",
        )
    if proposer.beta_start > proposer.beta_end:
        yield Problem(
            ("proposer", "beta_start"),
            f"{proposer.beta_start:g} is above beta_end {proposer.beta_end:g}; the sampler is "
            "cooled, so its inverse temperature rises",
        )
