"""What the HTTP API takes and gives: request bodies with bounds, unknown keys refused.

Only these fields reach the engine. What vLLM also understands (a regex or grammar to decode
under, a chat template, a path, plugin arguments) is refused with 422, since a client must not
hand the engine code, patterns or paths.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from defects.rules import Rules
from serve.structures import CifStructure, PlainStructure

Prompt = Annotated[str, Field(min_length=1, max_length=400_000)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]
Repetition = Annotated[int, Field(ge=1, le=64)]
FrameEntry = Annotated[int, Field(ge=-1, le=1)]
Shift = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Change = tuple[Annotated[int, Field(ge=0)], Annotated[str, Field(min_length=1, max_length=3)]]
Changes = Annotated[tuple[Change, ...], Field(min_length=1, max_length=256)]

MAX_LISTED = 10_000
"""Configurations that a constraint may name."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sampling(_Body):
    """Settings that completions and chat completions share; names and meanings are OpenAI's."""

    model: str = Field(min_length=1, max_length=300)
    n: int = Field(default=1, ge=1, le=1024)
    max_tokens: int = Field(default=256, ge=1, le=65_536)
    min_tokens: int = Field(default=0, ge=0, le=65_536)
    temperature: float = Field(default=1.0, ge=0.0, le=10.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=-1, le=1_000_000)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    stop: Stop | Annotated[list[Stop], Field(max_length=8)] | None = None
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    return_token_ids: bool | None = None
    stream: bool = False
    user: str | None = Field(default=None, max_length=200)


class Constraint(Rules):
    """What an answer may be: the rules of a request, from which the server builds the grammar.

    The fields of `defects.rules.Rules`, and the host that they are for. Separations are not among
    what a grammar can say; they are taken and left to whoever reads the answers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1, max_length=100)
    supercell: tuple[Repetition, Repetition, Repetition]
    format: Literal["compact", "full"] = "compact"
    matrix: tuple[FrameEntry, FrameEntry, FrameEntry, FrameEntry] = (1, 0, 0, 1)
    """In-plane choice of lattice vectors of the full format's coordinates."""
    shift: tuple[Shift, Shift] = (0.0, 0.0)
    """Their origin, in fractional coordinates of the supercell."""
    among: Annotated[tuple[Changes, ...], Field(min_length=1, max_length=MAX_LISTED)] | None = None
    """The only configurations that may answer (compact format), each as [site, species] pairs."""

    def __hash__(self) -> int:
        own = (self.host, self.supercell, self.matrix, self.shift, self.among)
        return hash((super().__hash__(), *own))

    @property
    def rules(self) -> Rules:
        """The rules by themselves."""
        return Rules(**{name: getattr(self, name) for name in Rules.model_fields})


class CompletionBody(Sampling):
    """Body of POST /v1/completions."""

    prompt: Prompt | Annotated[list[Prompt], Field(min_length=1)]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    add_special_tokens: bool = True
    constraint: Constraint | list[Constraint] | None = None
    """One for all prompts, or one per prompt; answers then obey it whatever the model."""

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def constraints(self) -> list[Constraint]:
        """The different constraints named."""
        named = self.constraint if isinstance(self.constraint, list) else [self.constraint]
        return list(dict.fromkeys(c for c in named if c is not None))

    @model_validator(mode="after")
    def _one_per_prompt(self) -> CompletionBody:
        if isinstance(self.constraint, list) and len(self.constraint) != len(self.prompts):
            raise ValueError(
                f"{len(self.constraint)} constraints for {len(self.prompts)} prompts: give one, or "
                "one per prompt"
            )
        return self


class Message(_Body):
    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=400_000)


class ChatBody(Sampling):
    """Body of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1, max_length=256)


class PredictBody(_Body):
    """Body of POST /v1/predict: configurations, or structures with the host to read them on."""

    configurations: list[dict[str, Any]] | None = Field(default=None, min_length=1)
    """As `Configuration.to_dict` writes them."""
    structures: list[PlainStructure | CifStructure] | None = Field(default=None, min_length=1)
    host: str | None = Field(default=None, min_length=1, max_length=100)
    supercell: tuple[Repetition, Repetition, Repetition] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> PredictBody:
        if (self.configurations is None) == (self.structures is None):
            raise ValueError("give either configurations or structures")
        if self.structures is not None and (self.host is None or self.supercell is None):
            raise ValueError("structures need the host and supercell that they are defects of")
        for index, item in enumerate(self.configurations or ()):
            missing = {"host", "supercell", "defects"} - item.keys()
            if missing:
                raise ValueError(f"configuration {index} lacks {', '.join(sorted(missing))}")
        return self

    @property
    def number(self) -> int:
        """How many are to be predicted."""
        return len(self.configurations or self.structures or ())


class Prediction(BaseModel):
    """One configuration's predicted properties, in the units of `defects.properties`."""

    mean: dict[str, float]
    std: dict[str, float]
    ood: bool = False
    """Outside what the surrogate was fitted on: the spread does not hold there."""


class PredictReply(BaseModel):
    """Answer of POST /v1/predict; `version` is the surrogate's content hash."""

    version: str
    properties: list[str]
    predictions: list[Prediction]
    configurations: list[dict[str, Any]] | None = None
    """What the structures were read as; None where configurations were sent."""


class ModelCard(BaseModel):
    """One entry of GET /v1/models."""

    id: str
    object: Literal["model"] = "model"
    owned_by: str = "design-loop"
    root: str
    parent: str | None = None
    manifest: dict[str, Any] | None = None
    """`serve.public.PUBLIC_FACTS` of an adapter: names and hashes, no paths."""


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """Answer of GET /healthz; each part is "ok", "absent" or says what is wrong."""

    status: Literal["ok", "degraded"]
    llm: str
    surrogate: str
    surrogate_version: str | None = None
