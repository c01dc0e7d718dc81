"""What an adapter is trained from and how: everything that decides about its weights."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from defects.errors import ModelError
from training.base_model import base_hash
from training.schedule import Schedule
from training.sources import ExampleSource

QUANTIZATIONS = ("none", "4bit")
SHARDINGS = ("ddp", "fsdp")
PREFIX = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class LoraHyperparameters:
    """Hyperparameters; the defaults are the published ones (Al-Maeeni et al. 2024).

    Attributes
    ----------
    rank : int
    alpha : float
        The update is scaled by alpha / rank.
    dropout : float
        In front of the update.
    target_modules : str or tuple of str
        Layers that get an update, by the last part of their names; ``all-linear`` for every one
        but the output. Text of another kind is a pattern of whole names.
    learning_rate, schedule, warmup, final_lr
        Peak, course (cosine, linear, constant), share of the run with a rising rate, last rate as a
        share of the peak.
    epochs : float
    max_steps : int or None
    max_seconds : float or None
        Whatever comes first ends the run, and the schedule ends with it. Seconds count from the
        first step, over restarts; the start of the workers is not in them.
    batch_size : int
        Examples per optimizer step, over all workers.
    micro_tokens : int
        Most tokens of one forward pass on one worker; more is accumulated.
    bf16 : bool or None
        bfloat16 autocast; None where the processor has instructions for it.
    gradient_checkpointing : bool
        Recompute activations in the backward pass: less memory, a third more time.
    max_length : int or None
        Longer examples are left out; None for the model's context length, which always holds.
    length_pool : int
        Batches among which examples are sorted by length, to save padding; 1 for none.
    quantization : str
        Of the frozen base: ``none``, or ``4bit`` (NF4, on CUDA GPUs).
    """

    rank: int = 8
    alpha: float = 32
    dropout: float = 0.05
    target_modules: str | tuple[str, ...] = "all-linear"
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    warmup: float = 0.03
    final_lr: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    epochs: float = 10
    max_steps: int | None = None
    max_seconds: float | None = None
    batch_size: int = 32
    micro_tokens: int = 8192
    bf16: bool | None = None
    gradient_checkpointing: bool = False
    max_length: int | None = None
    length_pool: int = 16
    quantization: str = "none"

    def __post_init__(self) -> None:
        above = "rank alpha learning_rate epochs batch_size micro_tokens length_pool"
        for name in above.split():
            if getattr(self, name) <= 0:
                raise ModelError(f"{name} is {getattr(self, name)}: it has to be above 0")
        if self.quantization not in QUANTIZATIONS:
            raise ModelError(f"quantization {self.quantization!r} is none of none, 4bit")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is {self.dropout}: it has to be in [0, 1)")
        try:
            _ = self.course
        except ValueError as error:
            raise ModelError(str(error)) from error

    @property
    def course(self) -> Schedule:
        """Learning rate over the run."""
        return Schedule(self.learning_rate, self.warmup, self.final_lr, self.schedule)


@dataclass(frozen=True)
class Resources:
    """What the training workers get.

    Attributes
    ----------
    workers : int
        Data-parallel workers; the adapter does not depend on their number beyond rounding.
    cpus, gpus : float
        Per worker, as Ray counts them.
    threads : int or None
        PyTorch threads of a worker; None for its share of the machine's cores.
    max_failures : int
        Restarts from the last checkpoint after a worker died.
    checkpoint_seconds : float
        Time between checkpoints.
    sharding : str
        ``ddp``: every worker holds the whole base; ``fsdp``: each a part of every weight, for
        bases larger than a GPU's memory.
    storage : str or None
        Where checkpoints are kept, see `training.lora.train_adapter`.
    """

    workers: int = 1
    cpus: float = 1
    gpus: float = 0
    threads: int | None = None
    max_failures: int = 3
    checkpoint_seconds: float = 60.0
    sharding: str = "ddp"
    storage: str | None = None

    def __post_init__(self) -> None:
        if self.sharding not in SHARDINGS:
            raise ModelError(f"sharding {self.sharding!r} is none of ddp, fsdp")


@dataclass(frozen=True)
class AdapterSpec:
    """One adapter to be trained.

    Attributes
    ----------
    base : str
        Folder or Hugging Face name of the base model.
    source : ExampleSource
        Called in the workers for every epoch, see `training.sources`.
    root : Path
        Folder below which finished adapters lie, each under its own name.
    prefix : str
        Beginning of the name, such as ``r001``; the content hash follows.
    hyperparameters : LoraHyperparameters
    eval_source : ExampleSource or None
        Held-out examples; called once, with epoch 0.
    parent : Path or None
        Adapter to go on from, instead of a fresh one.
    seed : int
    data_hash : str or None
        Hash of the data behind the source; None for that of the examples of epoch 0.
    facts : dict
        Goes into the manifest as it is: format, properties, campaign, round.
    """

    base: str
    source: ExampleSource
    root: Path
    prefix: str = "adapter"
    hyperparameters: LoraHyperparameters = field(default_factory=LoraHyperparameters)
    eval_source: ExampleSource | None = None
    parent: Path | None = None
    seed: int = 0
    data_hash: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            raise ModelError(
                f"adapter name {self.prefix!r}: use lower-case letters, digits, '.', '_' and '-'"
            )

    def fingerprint(self) -> str:
        """Hash of all that decides about the weights: the same work has the same one."""
        content = {
            "base": base_hash(self.base),
            "source": repr(self.source),
            "eval": repr(self.eval_source),
            "data": self.data_hash,
            "hyperparameters": asdict(self.hyperparameters),
            "parent": None if self.parent is None else Path(self.parent).name,
            "seed": self.seed,
            "prefix": self.prefix,
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def check_settings(h: LoraHyperparameters, resources: Resources) -> None:
    """Refuse what no worker could do, before one is started.

    Raises
    ------
    ModelError
        For a 4-bit base without GPUs, or one that is to be sharded.
    """
    if h.quantization != "4bit":
        return
    if not resources.gpus:
        raise ModelError(
            "quantization 4bit needs a CUDA GPU per worker: write quantization: none, or give the "
            "workers GPUs (resources.train_gpus: 1)"
        )
    if resources.sharding == "fsdp":
        raise ModelError(
            "a 4-bit base is held whole by every worker: write sharding: ddp, or quantization: none"
        )
