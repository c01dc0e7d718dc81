"""Body and answer of POST /v1/design."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from defects.errors import TargetError
from defects.rules import Rules
from defects.targets import Target, parse_target
from serve.schemas import Prediction, Repetition

LARGEST = 1e6
"""Largest absolute value of a number in a target, in the property's unit."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _target(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if len(value) > 100:
        raise ValueError("a target is at most 100 characters")
    try:
        return parse_target(value)
    except TargetError as error:
        raise ValueError(str(error)) from error


def _bounded(target: Target) -> Target:
    numbers = (
        target.value, target.min, target.max, target.tolerance, target.scale, target.reference
    )  # fmt: skip
    if any(n is not None and abs(n) > LARGEST for n in numbers) or len(target.property) > 64:
        raise ValueError(f"numbers of a target are at most {LARGEST:g}, names 64 characters")
    return target


TargetItem = Annotated[
    Target,
    BeforeValidator(_target, json_schema_input_type=str | Target),
    AfterValidator(_bounded),
]
"""As an object, or as text: ``homo_lumo_gap=0.6..0.9``, ``=1.1+-0.05``, ``<=0.45``, ``=min``."""

ConfigurationItem = dict[str, Any]


class DesignBody(_Body):
    """Body of POST /v1/design."""

    model: str = Field(min_length=1, max_length=300, description="base, or base:ADAPTER")
    host: str = Field(min_length=1, max_length=100)
    supercell: tuple[Repetition, Repetition, Repetition]
    rules: Rules
    targets: list[TargetItem] = Field(min_length=1, max_length=16)
    count: int = Field(default=10, ge=1, le=1000, description="most candidates in the answer")
    samples: int | None = Field(
        default=None, ge=1, le=65_536, description="answers drawn; by default 8 per candidate"
    )
    format: Literal["compact", "full"] = "compact"
    constrained: bool = Field(default=True, description="decode under a grammar of the rules")
    temperature: float = Field(default=1.0, ge=0.0, le=5.0)
    top_p: float | None = Field(
        default=None, gt=0.0, le=1.0, description="by default 0.9, and 1 in the full format"
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    structure: Literal["cif", "poscar", "none"] = "cif"
    known: list[ConfigurationItem] = Field(
        default_factory=list,
        max_length=10_000,
        description="configurations that are known already, as Configuration.to_dict writes them",
    )
    duplicates: bool = Field(
        default=False,
        description="return what equals a known one, or one of the adapter's training data, as "
        "well, marked, not only count it",
    )

    @model_validator(mode="after")
    def _each_property_once(self) -> DesignBody:
        names = [t.property for t in self.targets]
        if len(set(names)) != len(names):
            raise ValueError("a property is named in two targets; give one range instead")
        return self

    @property
    def number_of_samples(self) -> int:
        """Answers to draw."""
        return self.samples or 8 * self.count


class DesignCandidate(BaseModel):
    """One candidate; values in the units of `defects.properties`."""

    rank: int
    key: str
    """Content key of the class under the host's symmetry."""
    description: str
    configuration: ConfigurationItem
    structure: str | None
    asked: dict[str, float]
    """The values that its prompt asked for."""
    prediction: Prediction
    surrogate_error: float
    """Weighted mean distance of the prediction to the targets; see `defects.targets`."""
    probability: float
    """That all targets are met, by mean and spread."""
    samples: int
    """How many samples gave this class."""
    duplicate_of: str | None = None
    """``known:INDEX`` of an equal known configuration, ``training`` where the adapter was trained
    on it; None for a new one."""


class DesignReply(BaseModel):
    """Answer of POST /v1/design."""

    model: str
    adapter: str | None
    surrogate_version: str
    properties: list[str]
    samples: int
    tokens: int
    drops: dict[str, int]
    """Reason -> samples; with one per candidate they add up to all samples. Repeats of a candidate
    are counted here, too (`duplicate_in_request`)."""
    candidates: list[DesignCandidate]
