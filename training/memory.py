"""What fine-tuning takes of a GPU's memory, counted on a model without weights.

Parameters are counted on the meta device. Activations are what autograd saves in a real forward
pass of the model's own code over fake tensors, of one and of two layers: the difference is a
layer's share. Nothing of it depends on formulas for an architecture.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from defects.errors import ModelError
from training.model import lora_config
from training.spec import LoraHyperparameters, Resources

#: Bytes per 4-bit weight: NF4, and the doubly quantized scales of 0.127 bit (Dettmers et al. 2023,
#: arXiv:2305.14314, section 3).
NF4_BYTES = (4 + 0.127) / 8
#: Weight, gradient and Adam's two moments of a trainable parameter, float32.
TRAINED_BYTES = 16
#: What is taken beside tensors (context, libraries, buffers of collectives), and share lost to
#: fragments. Assumptions, not measured here.
RESERVED_BYTES, FRAGMENTS = 2 * 2**30, 0.05


@dataclass(frozen=True)
class Load:
    """The largest forward pass of a worker.

    Attributes
    ----------
    rows : int
        Examples in it.
    tokens : int
        Of each, prompt and answer.
    answer_tokens : int
        Of each, with loss.
    """

    rows: int
    tokens: int
    answer_tokens: int


@dataclass(frozen=True)
class MemoryPlan:
    """Parameters of a model, and bytes on each GPU.

    Attributes
    ----------
    parameters, trainable : int
        Of the base; of the update.
    weights, gathered, update, activations, working, reserved : float
        Frozen weights; those gathered for the layers at work (FSDP), or made from 4 bits; update
        with gradients and optimizer; what autograd saves; gradients of the logits; the rest.
    """

    parameters: int
    trainable: int
    weights: float
    gathered: float
    update: float
    activations: float
    working: float
    reserved: float

    @property
    def total(self) -> float:
        """Bytes on each GPU at the peak of a step."""
        parts = (self.weights, self.gathered, self.update, self.activations, self.working)
        return sum(parts) * (1 + FRAGMENTS) + self.reserved

    def fits(self, gpu_bytes: float) -> bool:
        """Whether a GPU of this memory holds it."""
        return self.total <= gpu_bytes


@dataclass(frozen=True)
class Counted:
    """A model's parameters and the bytes that its forward pass saves, whatever is done with them.

    Attributes
    ----------
    linear : int
        Weights of layers that 4 bits hold; ``outside`` those beside the layers (embedding, output).
    layer : int
        Weights of the largest layer; ``largest`` of the largest matrix.
    saved_layer, saved_rest : int
        Bytes saved per layer, and by embedding, output and loss.
    """

    parameters: int
    trainable: int
    linear: int
    outside: int
    layer: int
    largest: int
    layers: int
    hidden: int
    vocabulary: int
    saved_layer: int
    saved_rest: int


def count_model(config: Any, h: LoraHyperparameters, load: Load) -> Counted:
    """Build the model without weights and follow one forward pass.

    Raises
    ------
    ModelError
        If the architecture has no layers that can be told apart.
    """
    model = _empty(config, h, config.num_hidden_layers)
    base = model.get_base_model()
    layers = getattr(base.get_decoder(), "layers", None)
    if layers is None:
        raise ModelError(f"a {config.model_type} model has no list of layers to plan by")
    frozen = [p for p in base.parameters() if not p.requires_grad]
    inside = [sum(p.numel() for p in x.parameters() if not p.requires_grad) for x in layers]
    total = sum(p.numel() for p in frozen)
    linear = sum(
        m.weight.numel()
        for x in layers
        for n, m in x.named_modules()
        if isinstance(m, nn.Linear) and "lora_" not in n
    )
    one, two = (_saved(config, h, n, load) for n in (1, 2))
    return Counted(
        parameters=total,
        trainable=sum(p.numel() for p in base.parameters() if p.requires_grad),
        linear=linear,
        outside=total - sum(inside),
        layer=max(inside),
        largest=max(p.numel() for p in frozen),
        layers=len(layers),
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
        saved_layer=two - one,
        saved_rest=2 * one - two,
    )


def plan_memory(
    counted: Counted, h: LoraHyperparameters, resources: Resources, load: Load
) -> MemoryPlan:
    """Bytes on each GPU, with these settings."""
    width = 4 if h.bf16 is False else 2
    shards = resources.workers if resources.sharding == "fsdp" else 1
    tokens = load.rows * load.tokens
    weights, gathered = width * counted.parameters / shards, 0.0
    if h.quantization == "4bit":
        weights = NF4_BYTES * counted.linear + width * (counted.parameters - counted.linear)
        gathered = width * counted.largest
    elif shards > 1:
        # The layer at work and the next one; embedding and output stay through a step.
        gathered = width * (2 * counted.layer + counted.outside)
    trained = TRAINED_BYTES / shards
    if resources.sharding == "ddp" and resources.workers > 1:
        trained += 4  # gradients once more, in buckets
    saved = counted.saved_rest + counted.saved_layer * counted.layers
    if h.gradient_checkpointing:
        kept = width * counted.hidden * tokens * counted.layers
        saved = counted.saved_rest + kept + counted.saved_layer
    return MemoryPlan(
        parameters=counted.parameters,
        trainable=counted.trainable,
        weights=weights,
        gathered=gathered,
        update=trained * counted.trainable,
        activations=saved,
        working=load.rows * load.answer_tokens * counted.vocabulary * (4 + width),
        reserved=RESERVED_BYTES,
    )


def _empty(config: Any, h: LoraHyperparameters, layers: int) -> Any:
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    config.num_hidden_layers = layers
    dtype = torch.float32 if h.bf16 is False else torch.bfloat16
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
        return get_peft_model(base, lora_config(base, h), autocast_adapter_dtype=True)


class _Loss(nn.Module):
    """`training.objective.AnswerLoss` with all answers at the end: shapes without values."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, answer_tokens: int) -> torch.Tensor:
        base = self.model.get_base_model()
        hidden = base.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        logits = base.get_output_embeddings()(hidden[:, -answer_tokens - 1 : -1].flatten(0, 1))
        target = torch.zeros(logits.shape[0], dtype=torch.long)
        return functional.cross_entropy(logits.float(), target, reduction="sum")


def _saved(config: Any, h: LoraHyperparameters, layers: int, load: Load) -> int:
    """Bytes that autograd saves in a forward pass, weights apart."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    loss = _Loss(_empty(config, h, layers)).train()
    with FakeTensorMode():
        held = {
            name: torch.empty(t.shape, dtype=t.dtype, requires_grad=t.requires_grad)
            for name, t in [*loss.named_parameters(), *loss.named_buffers()]
        }
        own = {t.untyped_storage()._cdata for t in held.values()}
        saved: dict[int, tuple[int, torch.Tensor]] = {}  # tensors too: an address lives with them

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                saved[storage._cdata] = (storage.nbytes(), tensor)
            return tensor

        ids = torch.zeros(load.rows, load.tokens, dtype=torch.long)
        with (
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=h.bf16 is not False),
        ):
            torch.func.functional_call(loss, held, (ids, load.answer_tokens))
        return sum(size for size, _ in saved.values())
