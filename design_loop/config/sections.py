"""The sections of a campaign file. Every field has its bounds and says what it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from defects.errors import HostError, ModelError, TargetError
from defects.hosts import parse_supercell
from defects.targets import Target, parse_target
from design_loop.config.adaptation import AdaptConfig, CollapseConfig
from design_loop.config.base import Section


def _supercell(value: Any) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise ValueError("write the repetitions of the unit cell, such as 4x4")
    try:
        return parse_supercell(value)
    except HostError as error:
        raise ValueError(str(error)) from error


def _target(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_target(value)
    except TargetError as error:
        raise ValueError(str(error)) from error


def _surrogate_kind(value: str) -> str:
    if value != "auto":
        # Imported for a name only: most files say auto, and reading them stays quick.
        from defects.surrogates.kinds import check_kind

        try:
            check_kind(value)
        except ModelError as error:
            raise ValueError(str(error)) from error
    return value


def _modules(value: Any) -> Any:
    if value == "all-linear":
        return value
    names = value if isinstance(value, (list, tuple)) else ()
    if not names or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ValueError("write all-linear, or a list of layers such as [q_proj, v_proj]")
    return tuple(names)


SurrogateKind = Annotated[str, AfterValidator(_surrogate_kind)]

TargetModules = Annotated[str | tuple[str, ...], BeforeValidator(_modules)]

Supercell = Annotated[
    tuple[int, int, int],
    BeforeValidator(_supercell),
    PlainSerializer(lambda cell: "x".join(map(str, cell)), return_type=str),
]

# A target written back without the defaults that its kind does not allow (tolerance of a range).
TargetItem = Annotated[
    Target,
    BeforeValidator(_target),
    PlainSerializer(lambda target: target.model_dump(exclude_defaults=True), return_type=dict),
]


class HostConfig(Section):
    """The pristine crystal."""

    name: str = Field(min_length=1, description="a built-in host, or a CIF file of its unit cell")
    supercell: Supercell = Field((4, 4, 1), description="repetitions of the unit cell, as in 4x4")


class GenerationConfig(Section):
    """How the language model is asked."""

    format: Literal["compact", "full"] = Field(
        "compact", description="the answer names the changed sites only, or all sites"
    )
    samples: int = Field(192, ge=1, le=1_000_000, description="samples per round")
    per_prompt: int = Field(4, ge=1, le=1024, description="samples per prompt (vLLM's n)")
    temperature: float = Field(1.0, ge=0, le=5, description="randomness of the sampling")
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="probability mass that is sampled from; by default 0.9, 1 in the full format",
    )
    max_tokens: int | None = Field(
        None, ge=1, le=131_072, description="longest answer; by default what the format needs"
    )
    constrained: bool = Field(
        True,
        description="answers are decoded under a grammar of the rules, so that all are valid; with "
        "a table as oracle those still missing after three batches under one of the table's rest",
    )
    target_jitter: float = Field(
        0.0,
        ge=0,
        le=10,
        description="values asked for may lie outside a target by this share of its width",
    )
    adapt: AdaptConfig = Field(default_factory=AdaptConfig)
    collapse: CollapseConfig = Field(default_factory=CollapseConfig)


class AdapterConfig(Section):
    """LoRA fine-tuning of each round's adapter; the defaults are the published ones."""

    rank: int = Field(8, ge=1, le=512, description="rank of the update")
    alpha: float = Field(32, gt=0, le=4096, description="scale of the update times rank")
    dropout: float = Field(0.05, ge=0, lt=1, description="dropout in front of the update")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="peak learning rate")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="course of the learning rate"
    )
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps with a rising rate")
    target_modules: TargetModules = Field(
        "all-linear",
        description="layers that get an update, by the last part of their names ([q_proj, "
        "v_proj]); all-linear for every one but the output",
    )
    epochs: float = Field(10, gt=0, le=10_000, description="passes over the instructions")
    max_steps: int | None = Field(None, ge=1, description="at most so many optimizer steps")
    max_seconds: float | None = Field(None, gt=0, description="at most so long, s")
    batch_size: int = Field(32, ge=1, le=65_536, description="instructions per optimizer step")
    new_data_weight: int = Field(
        4, ge=1, le=1000, description="how often a verified candidate counts, a dataset row once"
    )
    bf16: bool | None = Field(
        None, description="bfloat16 arithmetic; by default where the processor has it"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations twice: less memory, a third more time"
    )
    micro_tokens: int = Field(
        8192,
        ge=1,
        le=10_000_000,
        description="most tokens of a worker's forward pass; gradients of more are accumulated",
    )
    max_length: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="longer instructions, their answers included, are left out, tokens; by "
        "default what the model can read, and never more",
    )
    length_pool: int = Field(
        16,
        ge=1,
        le=100_000,
        description="batches among which instructions are sorted by length; 1 for none",
    )
    quantization: Literal["none", "4bit"] = Field(
        "none", description="of the frozen base; 4bit (QLoRA) on CUDA GPUs only"
    )


class SurrogateConfig(Section):
    """The fast model that screens candidates."""

    kind: SurrogateKind = Field(
        "auto",
        description="a kind of docs/surrogates.md, or the best of those that fit in seconds",
    )
    properties: tuple[str, ...] | None = Field(
        None, min_length=1, description="what it predicts; by default what the targets name"
    )
    iterations: int = Field(300, ge=1, le=100_000, description="trees per fold")
    folds: int = Field(
        10,
        ge=2,
        le=50,
        description="models that each lack one part of the labels, whose error they tell",
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        description="after so long, s, no further kind is tried (auto), and of trees the spread "
        "goes without the jackknife's part",
    )
    min_labels: int = Field(50, ge=20, description="fewest labels of a property to fit it from")


class LearnConfig(Section):
    """What the next round learns from."""

    use_unverified: bool = Field(
        False,
        description="without an oracle: what was selected enters with the surrogate's values",
    )
    start_from: Literal["base", "previous"] = Field(
        "previous",
        description="each round's adapter: anew over all data, or on from the one before",
    )
    replay: float = Field(
        8.0,
        ge=0,
        le=10_000,
        description="with previous: earlier instructions per new one, others at every epoch",
    )
    continue_rate: float = Field(
        0.3, gt=0, le=1, description="with previous: learning rate as a share of the adapter's"
    )
    stage: Literal["last", "first"] = Field(
        "last",
        description="with oracle.then: whose labels teach surrogate and model; hits are always the "
        "last stage's",
    )
    unverified_weight: float = Field(
        0.5, gt=0, le=1000, description="how much an instruction with surrogate values counts"
    )
    distil: int = Field(
        300,
        ge=0,
        le=1_000_000,
        description="so many unlabelled configurations enter with surrogate values: of ten times "
        "as many, half random and half neighbours of the best (labelled ones among these), those "
        "nearest to the targets",
    )
    near_weight: float = Field(
        10.0,
        ge=1,
        le=1000,
        description="how much more what meets all targets counts; falls off with the distance",
    )
    last_round: bool = Field(
        True,
        description="also learn from the last round, for an extension, a fork or other use; the "
        "campaign itself needs it no more",
    )


class ResourcesConfig(Section):
    """What of the machine or cluster is used."""

    ray_address: str | None = Field(
        None, description="cluster to join ('auto' on it); by default Ray is started here"
    )
    cpus: int | None = Field(None, ge=1, description="logical CPUs of a Ray started here")
    oracle_parallel: int | None = Field(
        None, ge=1, description="oracle calls at a time; by default as many as CPUs allow"
    )
    train_workers: int = Field(1, ge=1, le=4096, description="Ray Train workers")
    train_cpus: float = Field(1, gt=0, le=1024, description="CPUs per training worker")
    train_gpus: float = Field(0, ge=0, le=64, description="GPUs per training worker")
    train_sharding: Literal["ddp", "fsdp"] = Field(
        "ddp", description="each worker holds all of the base (ddp), or a part of it (fsdp)"
    )
    train_checkpoint_seconds: float = Field(
        60.0, gt=0, le=86_400, description="time between checkpoints of the training, s"
    )
    train_max_failures: int = Field(
        3, ge=0, le=1000, description="restarts from the last checkpoint after a worker died"
    )
    train_storage: str | None = Field(
        None,
        min_length=1,
        description="checkpoints: a folder shared by all machines, or s3://, gs://, file://",
    )
