"""The whole campaign file as one typed, unchanging value."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml
from pydantic import Field, model_validator

from defects.properties import Property
from defects.rules import Rules
from design_loop.config.consistency import contradictions
from design_loop.config.oracle import OracleConfig
from design_loop.config.properties import OwnProperty, as_properties
from design_loop.config.proposer import ProposerConfig
from design_loop.config.sections import (
    AdapterConfig,
    GenerationConfig,
    HostConfig,
    LearnConfig,
    ResourcesConfig,
    Section,
    SurrogateConfig,
    TargetItem,
)
from design_loop.config.selection import SelectionConfig
from design_loop.config.tracking import TrackingConfig


class CampaignConfig(Section):
    """What a campaign looks for, where, how and for how long."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$", description="name of the campaign"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of everything random")
    host: HostConfig = Field(description="the pristine crystal")
    rules: Rules = Field(description="which defects, and how many")
    targets: tuple[TargetItem, ...] = Field(
        min_length=1, max_length=16, description="what the candidates should be"
    )
    properties: dict[str, OwnProperty] = Field(
        default_factory=dict, max_length=32, description="own properties by name"
    )
    rounds: int = Field(3, ge=1, le=10_000, description="rounds after the preparation")
    dataset: str = Field(
        min_length=1, description="labelled configurations: a folder, or the name of a shipped one"
    )
    base_model: str = Field(
        "small", min_length=1, description="'small', a folder, or a name on Hugging Face"
    )
    proposer: ProposerConfig = Field(default_factory=ProposerConfig)
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    adapter: AdapterConfig = Field(default_factory=AdapterConfig)
    surrogate: SurrogateConfig = Field(default_factory=SurrogateConfig)
    selection: SelectionConfig = Field(default_factory=SelectionConfig)
    oracle: OracleConfig = Field(default_factory=OracleConfig)
    learn: LearnConfig = Field(default_factory=LearnConfig)
    serving: dict[str, Any] = Field(
        default_factory=dict, description="engine, LoRA limits, replicas: see serve.config"
    )
    resources: ResourcesConfig = Field(default_factory=ResourcesConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)

    @model_validator(mode="after")
    def _consistent(self) -> CampaignConfig:
        problems = contradictions({name: getattr(self, name) for name in type(self).model_fields})
        if problems:
            raise ValueError("; ".join(f"{p.path}: {p.message}" for p in problems))
        return self

    @property
    def surrogate_properties(self) -> tuple[str, ...]:
        """What the surrogate predicts: as configured, or what the targets name."""
        named = dict.fromkeys(target.property for target in self.targets)
        return self.surrogate.properties or tuple(named)

    @property
    def own_properties(self) -> dict[str, Property]:
        """Own properties by name, as texts and tables need them."""
        return as_properties(self.properties)

    @property
    def content_hash(self) -> str:
        """Hash of all settings, defaults included; equal exactly when they are."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def to_yaml(self) -> str:
        """Return a campaign file with every setting written out; reading it gives this again."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
