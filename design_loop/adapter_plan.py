"""Whether the fine-tuning of a campaign fits on GPUs, before any is rented."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from training.memory import MemoryPlan
    from training.spec import LoraHyperparameters, Resources

#: Requests whose tokens are counted.
DRAWN = 32
#: Powers of ten, as makers of GPUs and clouds write them; `GiB` for powers of two.
_UNITS = {"GB": 10**9, "GIB": 2**30, "G": 10**9}


@dataclass(frozen=True)
class AdapterPlan:
    """A campaign's fine-tuning on a number of GPUs.

    Attributes
    ----------
    base, base_source : str
        Base model, and where its shape is known from.
    token_source : str
        How the tokens were counted.
    tokens, answer_tokens : int
        Of the longest of `DRAWN` requests: all, and of the answer.
    tokens_per_step : int
        Of an optimizer step, over all GPUs.
    rows : int
        Requests in a forward pass.
    passes : int
        Forward passes of each GPU in an optimizer step.
    memory : MemoryPlan
        On each GPU.
    gpus : int
    gpu_bytes : float
    problem, advice : str or None
        Why it does not work, and what does.
    """

    base: str
    base_source: str
    token_source: str
    tokens: int
    answer_tokens: int
    tokens_per_step: int
    rows: int
    passes: int
    memory: MemoryPlan
    gpus: int
    gpu_bytes: float
    hyperparameters: LoraHyperparameters
    resources: Resources
    problem: str | None = None
    advice: str | None = None

    @property
    def fits(self) -> bool:
        """Whether it can run."""
        return self.problem is None

    def summary(self) -> dict[str, Any]:
        """All figures as plain values; memory in bytes per GPU."""
        h, m = self.hyperparameters, self.memory
        return {
            "base": self.base,
            "base_from": self.base_source,
            "parameters": m.parameters,
            "trainable": m.trainable,
            "gpus": self.gpus,
            "gpu_memory": round(self.gpu_bytes),
            "sharding": self.resources.sharding,
            "quantization": h.quantization,
            "bf16": h.bf16 is not False,
            "gradient_checkpointing": h.gradient_checkpointing,
            "batch_size": h.batch_size,
            "micro_tokens": h.micro_tokens,
            "tokens_per_request": self.tokens,
            "answer_tokens": self.answer_tokens,
            "tokens_from": self.token_source,
            "tokens_per_step": self.tokens_per_step,
            "requests_per_pass": self.rows,
            "passes_per_step": self.passes,
            "memory": {
                "weights": round(m.weights),
                "gathered": round(m.gathered),
                "update": round(m.update),
                "activations": round(m.activations),
                "working": round(m.working),
                "reserved": round(m.total - m.weights - m.gathered - m.update - m.activations
                                  - m.working),
                "total": round(m.total),
            },
            "fits": self.fits,
            "problem": self.problem,
            "advice": self.advice,
        }  # fmt: skip


def parse_memory(text: str) -> float:
    """``80GB`` (10⁹ bytes each) or ``80GiB`` as bytes.

    Raises
    ------
    ConfigError
        When it is neither.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(GB|GiB|G)\s*", text, re.IGNORECASE)
    if match is None or not float(match[1]):
        raise ConfigError(f"memory {text!r}: write 80GB or 80GiB")
    return float(match[1]) * _UNITS[match[2].upper()]


def plan_adapter(config: CampaignConfig, gpus: int | None, gpu_bytes: float) -> AdapterPlan:
    """Count what a campaign's fine-tuning takes on each GPU.

    Parameters
    ----------
    gpus : int, optional
        Workers with a GPU each; by default as many workers as the file names.
    gpu_bytes : float
        Memory of each.

    Raises
    ------
    ModelError
        If nothing is known about the base model.
    """
    from design_loop.adapters import hyperparameters_of, resources_of
    from training.memory import Load, count_model, plan_memory
    from training.spec import check_settings

    h, resources = hyperparameters_of(config), resources_of(config)
    resources = replace(resources, workers=gpus or resources.workers, gpus=1)
    shape, base_source = _shape(config.base_model)
    lengths, token_source = _lengths(config)
    longest = h.max_length or int(lengths[:, 0].max())
    taken = lengths[lengths[:, 0] <= longest]  # training leaves out the others
    lengths = taken if len(taken) else lengths
    tokens, answer = (int(n) for n in lengths.max(0))
    limit = shape.max_position_embeddings
    share = -(-h.batch_size // resources.workers)
    rows = max(1, min(share, h.micro_tokens // tokens))
    load = Load(rows, min(tokens, limit), min(answer, limit - 1))
    counted = count_model(shape, h, load)
    memory = plan_memory(counted, h, resources, load)
    plan = AdapterPlan(
        base=config.base_model,
        base_source=base_source,
        token_source=token_source,
        tokens=tokens,
        answer_tokens=answer,
        tokens_per_step=round(h.batch_size * float(lengths[:, 0].mean())),
        rows=rows,
        passes=-(-share // rows),
        memory=memory,
        gpus=resources.workers,
        gpu_bytes=gpu_bytes,
        hyperparameters=h,
        resources=resources,
    )
    if tokens > limit:
        return replace(
            plan,
            problem=f"requests of {tokens} tokens do not fit the model's {limit}",
            advice="generation.format: compact, or a smaller supercell",
        )
    if tokens > longest:
        return replace(
            plan,
            problem=f"requests of {tokens} tokens are longer than adapter.max_length, {longest}",
            advice=f"adapter.max_length: {tokens}",
        )
    try:
        check_settings(h, resources)
    except ModelError as error:
        return replace(plan, problem=str(error), advice="adapter.quantization: none")
    if memory.fits(gpu_bytes):
        return plan

    def fits(h: LoraHyperparameters, resources: Resources, rows: int) -> bool:
        fewer = replace(load, rows=rows)
        # Activations grow with the rows: no need to follow another pass.
        scale = rows / load.rows
        thinner = replace(
            counted,
            saved_layer=round(counted.saved_layer * scale),
            saved_rest=round(counted.saved_rest * scale),
        )
        return plan_memory(thinner, h, resources, fewer).fits(gpu_bytes)

    return replace(
        plan,
        problem=f"{memory.total / 1e9:.1f} GB on each of {plan.gpus} GPUs, there are "
        f"{gpu_bytes / 1e9:.1f}",
        advice=_advice(h, resources, plan, fits),
    )


def _advice(
    h: LoraHyperparameters,
    resources: Resources,
    plan: AdapterPlan,
    fits: Callable[[LoraHyperparameters, Resources, int], bool],
) -> str:
    """The first of the remedies, cheapest first, that makes it fit."""
    for text, changed, given, rows in _remedies(h, resources, plan):
        if fits(changed, given, rows):
            return text
    return "larger GPUs, a smaller base model, or generation.format: compact"


def _remedies(
    h: LoraHyperparameters, resources: Resources, plan: AdapterPlan
) -> Iterator[tuple[str, LoraHyperparameters, Resources, int]]:
    words: list[str] = []
    rows = plan.rows
    if h.bf16 is False:
        h, words = replace(h, bf16=True), [*words, "adapter.bf16: true"]
        yield ", ".join(words), h, resources, rows
    if not h.gradient_checkpointing:
        h = replace(h, gradient_checkpointing=True)
        words = [*words, "adapter.gradient_checkpointing: true"]
        yield ", ".join(words), h, resources, rows
    if rows > 1:
        h, rows = replace(h, micro_tokens=plan.tokens), 1
        words = [*words, f"adapter.micro_tokens: {plan.tokens}"]
        yield ", ".join(words), h, resources, rows
    if h.quantization == "none":
        if resources.workers > 1 and resources.sharding == "ddp":
            resources = replace(resources, sharding="fsdp")
            yield ", ".join([*words, "resources.train_sharding: fsdp"]), h, resources, rows
        small, whole = replace(h, quantization="4bit"), replace(resources, sharding="ddp")
        quantized = [*words, "adapter.quantization: 4bit"]
        if plan.resources.sharding == "fsdp":
            quantized.append("resources.train_sharding: ddp")
        yield ", ".join(quantized), small, whole, rows
        for more in (2, 4, 8, 16, 32, 64, 128):
            if more > resources.workers:
                wider = replace(resources, workers=more, sharding="fsdp")
                text = [*words, "resources.train_sharding: fsdp", f"{more} GPUs"]
                yield ", ".join(text), h, wider, rows


def _shape(name: str) -> tuple[Any, str]:
    """Configuration of a base model: its own if at hand, else what is written down here."""
    from training.bundled import SMALL, small_base_path
    from training.known_models import SHAPES
    from training.model import base_config

    try:
        # What is written down here is not asked of a network that may not be there: minutes.
        source = str(small_base_path()) if name == SMALL else name
        return base_config(source, local_only=name in SHAPES), "its config.json"
    except ModelError:
        if name not in SHAPES:
            raise
        from transformers import AutoConfig

        told = "training/known_models.py (its config.json is not at hand here)"
        return AutoConfig.for_model(**SHAPES[name]), told


def _lengths(config: CampaignConfig) -> tuple[np.ndarray, str]:
    """Tokens of random requests with their answers (n, 2): all, and the answer's."""
    from defects.hosts import get_host
    from defects.sampling import random_configuration
    from defects.text import training_pair

    host = get_host(config.host.name, config.host.supercell)
    rng = np.random.default_rng(0)
    asked = {target.property: -1.234 for target in config.targets}
    pairs = [
        training_pair(
            random_configuration(host, config.rules, rng),
            config.rules,
            asked,
            config.generation.format,
            rng,
            keep_all=1.0,
        )
        for _ in range(DRAWN)
    ]
    count, source = _counter(config.base_model)
    # One token ends the answer.
    rows = [(count(prompt) + count(answer) + 1, count(answer) + 1) for prompt, answer in pairs]
    return np.array(rows), source


def _counter(name: str) -> tuple[Callable[[str], int], str]:
    from training.bundled import SMALL, small_base_path
    from training.known_models import LLAMA_3_PIECES, SHAPES
    from training.model import load_tokenizer

    try:
        source = str(small_base_path()) if name == SMALL else name
        tokenizer = load_tokenizer(source, local_only=name in SHAPES)
    except ModelError:
        import regex

        pieces = regex.compile(LLAMA_3_PIECES)
        told = "the pieces that Llama 3's tokenizer starts from (its own is not at hand here)"
        return lambda text: len(pieces.findall(text)), told
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"]), "its tokenizer"
