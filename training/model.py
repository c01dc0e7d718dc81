"""The model that is fine-tuned: a base, whole, in 4 bits or yet without weights, and its update."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from defects.errors import ModelError
from training.base_model import check_base, load_base
from training.spec import AdapterSpec, LoraHyperparameters


def base_of(spec: AdapterSpec, device: torch.device, *, bf16: bool, empty: bool) -> tuple[Any, Any]:
    """Base model and tokenizer, ready for `add_lora`.

    Parameters
    ----------
    bf16 : bool
        Whether the processor computes in bfloat16.
    empty : bool
        Without weights (on the meta device), for `training.parallel` to shard before it loads.

    Raises
    ------
    ModelError
        If the base cannot be loaded, or not in this way on this machine.
    """
    # Frozen weights need no master copy: on a GPU they are held in half the memory.
    dtype = torch.bfloat16 if bf16 and device.type == "cuda" else torch.float32
    if spec.hyperparameters.quantization == "4bit":
        check_4bit(device)
        return _load_4bit(spec.base, device, dtype), load_tokenizer(spec.base)
    if empty:
        return empty_base(base_config(spec.base), dtype), load_tokenizer(spec.base)
    return load_base(spec.base, dtype=str(dtype).removeprefix("torch."))


def base_config(name_or_path: str, *, local_only: bool = False) -> Any:
    """Configuration of a base model, from its folder or from Hugging Face.

    Parameters
    ----------
    local_only : bool
        Of a Hugging Face name only what was downloaded before.

    Raises
    ------
    ModelError
        If there is none.
    """
    from transformers import AutoConfig

    source = check_base(name_or_path)
    try:
        return AutoConfig.from_pretrained(source, local_files_only=local_only)
    except (OSError, ValueError) as error:
        raise ModelError(f"no configuration of the base {source!r}: {_first(error)}") from error


def load_tokenizer(name_or_path: str, *, local_only: bool = False) -> Any:
    """Tokenizer of a base model, as `base_config`; padding is masked out of attention and loss."""
    from transformers import AutoTokenizer

    source = check_base(name_or_path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local_only)
    except (OSError, ValueError) as error:
        raise ModelError(f"no tokenizer of the base model {source!r}: {_first(error)}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def empty_base(config: Any, dtype: torch.dtype) -> Any:
    """A model whose parameters have shapes and no content; its buffers are real."""
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.tie_weights()
    return model


def check_4bit(device: torch.device) -> None:
    """Refuse 4-bit weights where nothing can compute with them.

    Raises
    ------
    ModelError
        On a CPU, or without bitsandbytes.
    """
    if device.type != "cuda":
        raise ModelError(
            f"quantization 4bit needs a CUDA GPU, the workers are on {device.type}: give them one "
            "(resources.train_gpus: 1), or write quantization: none"
        )
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "quantization 4bit needs bitsandbytes: pip install 'design-loop[qlora]'"
        ) from error


def _load_4bit(name_or_path: str, device: torch.device, dtype: torch.dtype) -> Any:
    """NF4 with doubly quantized scales, as in QLoRA (Dettmers et al. 2023, arXiv:2305.14314)."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    source = check_base(name_or_path)
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    try:
        return AutoModelForCausalLM.from_pretrained(
            source,
            quantization_config=settings,
            device_map={"": device},
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"cannot load {source!r} in 4 bits: {_first(error)}") from error


def add_lora(
    base: Any, spec: AdapterSpec, weights: Mapping[str, torch.Tensor] | None = None
) -> Any:
    """Put a trainable LoRA update on a base model: given weights, the parent's, or a fresh one.

    A fresh update is drawn on the CPU from the spec's seed, layer by layer: the same on every
    worker and device, however the base is held.

    Parameters
    ----------
    weights : mapping, optional
        Of a checkpoint, named as peft saves them.

    Raises
    ------
    ModelError
        If the parent is no adapter of the same rank and layers.
    """
    from peft import LoraConfig, PeftConfig, get_peft_model, load_peft_weights
    from peft import set_peft_model_state_dict as set_weights
    from peft.tuners.lora import LoraLayer

    h = spec.hyperparameters
    if h.gradient_checkpointing:
        checkpoint_activations(base)
    if spec.parent is None:
        config = lora_config(base, h)
    else:
        config = PeftConfig.from_pretrained(str(spec.parent))
        config.inference_mode = False
        if config.r != h.rank:
            raise ModelError(f"the parent {spec.parent} has rank {config.r}, {h.rank} is asked for")
        if not isinstance(config, LoraConfig):
            raise ModelError(f"the parent {spec.parent} is no LoRA adapter")
        if config.target_modules != (wanted := lora_config(base, h).target_modules):
            raise ModelError(
                f"the parent {spec.parent} updates {_listed(config.target_modules)}; "
                f"{_listed(wanted)} is asked for"
            )
        if weights is None:
            weights = load_peft_weights(str(spec.parent), device="cpu")
    # Updates are kept in float32 also over a bfloat16 base: small steps would vanish.
    model = get_peft_model(base, config, autocast_adapter_dtype=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        for layer in model.modules():
            if isinstance(layer, LoraLayer):
                for part in (layer.lora_A, layer.lora_B):
                    if "default" in part:
                        part["default"].to_empty(device="cpu")
                layer.reset_lora_parameters("default", True)
    if weights is not None:
        set_weights(model, dict(weights))
    return model


def lora_config(base: Any, h: LoraHyperparameters) -> Any:
    """Configuration of a fresh update.

    Raises
    ------
    ModelError
        If the base has no such layers.
    """
    from peft import LoraConfig

    known = linear_names(base)
    targets = known if h.target_modules == "all-linear" else h.target_modules
    missing = [] if isinstance(targets, str) else [t for t in targets if t not in known]
    if missing:
        raise ModelError(
            f"target_modules: the base has no linear layer {', '.join(missing)}; it has "
            f"{', '.join(known)}"
        )
    return LoraConfig(
        r=h.rank,
        lora_alpha=h.alpha,
        lora_dropout=h.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _listed(modules: Any) -> str:
    return modules if isinstance(modules, str) else ", ".join(sorted(modules or ()))


def checkpoint_activations(base: Any) -> None:
    """Keep the input of every layer only and compute the rest again in the backward pass."""
    settings = {"use_reentrant": False}
    # The name changed with transformers 5.2x; the old one is on its way out.
    if hasattr(base, "activation_checkpointing_enable"):
        base.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    else:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)


def linear_names(base: Any) -> list[str]:
    """Last parts of the names of all linear layers but the output, such as ``q_proj``.

    peft's own ``all-linear`` names every layer in full, which not every server understands.
    """
    output = base.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in base.named_modules()
            if isinstance(module, nn.Linear) and module is not output
        }
    )


def weight_files(name_or_path: str) -> list[Path]:
    """Safetensors files of a base model, fetched where it is named."""
    source = check_base(name_or_path)
    folder = Path(source)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            folder = Path(snapshot_download(source, allow_patterns=["*.safetensors", "*.json"]))
        except (OSError, ValueError, HfHubHTTPError) as error:
            raise ModelError(f"cannot fetch the base model {source!r}: {_first(error)}") from error
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"the base model {source!r} has no *.safetensors files")
    return files


def use_bf16(h: LoraHyperparameters, device: torch.device) -> bool:
    """What was asked for, or whether the processor has bfloat16 arithmetic."""
    if h.bf16 is not None:
        return h.bf16
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
