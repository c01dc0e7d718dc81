"""The small base model: a Llama of a few million parameters, and how any base model is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defects.adapter_folders import base_folder_hash
from defects.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_PARAMETERS = 5_000_000
HEAD_SIZES = (32, 64, 80, 96, 112, 128)
"""Head sizes with a CPU attention kernel in vLLM 0.29 (``v1/attention/backends/cpu_attn``)."""


@dataclass(frozen=True)
class BaseModelSettings:
    """Shape of the small model.

    Attributes
    ----------
    hidden_size, intermediate_size, layers : int
        Width, width of the gated feed-forward part, depth.
    head_dim : int
        One of `HEAD_SIZES`; the number of heads is ``hidden_size // head_dim``.
    kv_heads : int or None
        Key-value heads; None for as many as heads.
    max_positions : int
        Context length in tokens: prompt and answer of the full format on a 4x4 cell fit in 2048.
    rope_theta : float
        Base of the rotary position embedding.
    """

    hidden_size: int = 256
    intermediate_size: int = 640
    layers: int = 4
    head_dim: int = 64
    kv_heads: int | None = None
    max_positions: int = 2048
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        if self.head_dim not in HEAD_SIZES:
            raise ModelError(f"head_dim {self.head_dim} has no CPU kernel in vLLM: {HEAD_SIZES}")
        if self.hidden_size % self.head_dim:
            raise ModelError(
                f"hidden_size {self.hidden_size} is not a multiple of head_dim {self.head_dim}"
            )


def build_model(
    tokenizer: PreTrainedTokenizerBase,
    settings: BaseModelSettings | None = None,
    *,
    seed: int = 0,
) -> PreTrainedModel:
    """Build a randomly initialised Llama with tied embeddings for a tokenizer.

    Raises
    ------
    ModelError
        With more than `MAX_PARAMETERS` parameters.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    s = settings or BaseModelSettings()
    heads = s.hidden_size // s.head_dim
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=s.hidden_size,
        intermediate_size=s.intermediate_size,
        num_hidden_layers=s.layers,
        num_attention_heads=heads,
        num_key_value_heads=s.kv_heads or heads,
        head_dim=s.head_dim,
        max_position_embeddings=s.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": s.rope_theta},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        attend_backwards(model)
    n = model.num_parameters()
    if n > MAX_PARAMETERS:
        raise ModelError(f"{n} parameters, more than {MAX_PARAMETERS}: fewer layers or narrower")
    return model


def attend_backwards(model: PreTrainedModel) -> None:
    """Start the first layer's heads as readers of the one to four tokens before.

    Copying and any other look-up in the prompt needs a head that says what came before a token, on
    which a later layer can match (induction heads, Olsson et al. 2022, arXiv:2209.11895). From a
    random start that takes most of a small model's pretraining; here the heads begin with it, in
    the manner of mimetic initialisation (Trockman and Kolter 2023, arXiv:2305.09828), and are
    trained on like all others.

    A head attends `o` tokens back when, for a component that all embeddings share, its query is
    its key turned by the rotary embedding of position ``-o``: the product of both is then largest
    at that distance. Only the fast-turning pairs of coordinates are used, which tell neighbours
    apart.
    """
    import torch

    config = model.config
    size, width = config.head_dim, config.hidden_size
    attention = model.model.layers[0].self_attn
    groups = config.num_attention_heads // config.num_key_value_heads
    pairs = size // 8
    turn = config.rope_parameters["rope_theta"] ** (-torch.arange(pairs) * 2.0 / size)

    def key(phase: torch.Tensor, back: float) -> torch.Tensor:
        vector = torch.zeros(size)
        vector[:pairs] = torch.cos(phase - back * turn)
        vector[size // 2 : size // 2 + pairs] = torch.sin(phase - back * turn)
        return _SHARPNESS * vector

    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = _SHARED * config.initializer_range
        for head in range(config.num_key_value_heads):
            rows = slice(head * size, (head + 1) * size)
            phase = 2 * torch.pi * torch.rand(pairs)
            attention.k_proj.weight[rows, 0] = key(phase, 0.0)
            attention.v_proj.weight[rows] = _projection(width, size).T * _VALUE_GAIN
            for query in range(head * groups, (head + 1) * groups):
                rows = slice(query * size, (query + 1) * size)
                attention.q_proj.weight[rows, 0] = key(phase, float(1 + query % _LOOK_BACK))
                attention.o_proj.weight[:, rows] = (
                    _projection(width, size) * config.initializer_range
                )


#: Of `attend_backwards`: tokens looked back at; the shared component of all embeddings, in units of
#: their standard deviation; amplitude of keys and queries; gain of the values.
_LOOK_BACK, _SHARED, _SHARPNESS, _VALUE_GAIN = 4, 4.0, 1.2, 0.7


def _projection(width: int, size: int) -> torch.Tensor:
    """Random orthonormal columns, shape (width, size)."""
    import torch

    return torch.linalg.qr(torch.randn(width, size))[0]


def save_base(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    path: str | Path,
    *,
    dtype: str = "float16",
    card: dict[str, Any] | None = None,
) -> Path:
    """Write model, tokenizer, generation settings and model card to a folder.

    Parameters
    ----------
    dtype : str
        Type of the stored weights: ``float32``, ``float16`` or ``bfloat16``. The model in memory
        stays as it is.
    card : dict, optional
        Facts of the training (settings, data, figures) for the card's table.

    Returns
    -------
    Path
        The folder: ``model.safetensors``, ``config.json``, ``generation_config.json``,
        ``tokenizer.json``, ``tokenizer_config.json``, ``README.md``.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    target = getattr(torch, dtype)
    state = {k: v.detach().to(target) for k, v in model.state_dict().items()}
    config = type(model.config).from_dict(model.config.to_dict())
    config.dtype = target
    copy = AutoModelForCausalLM.from_config(config, dtype=target)
    copy.load_state_dict(state)
    copy.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=0.9,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    copy.save_pretrained(str(path))
    tokenizer.save_pretrained(str(path))
    facts = {"parameters": f"{model.num_parameters():,}", "stored as": dtype, **(card or {})}
    (path / "README.md").write_text(model_card(facts), encoding="utf-8")
    return path


def load_base(
    name_or_path: str | Path, *, dtype: str = "float32", offline: bool | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer, from a folder or by Hugging Face name.

    Parameters
    ----------
    name_or_path : str or Path
        A folder written by `save_base` (or any Hugging Face checkpoint), or a name such as
        ``meta-llama/Llama-3.1-8B``.
    dtype : str
        Type of the weights in memory; ``auto`` for the stored one.
    offline : bool, optional
        Only what is in the local cache. None: whatever ``HF_HUB_OFFLINE`` says.

    Raises
    ------
    ModelError
        If there is no such folder, or the name cannot be fetched.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    source = check_base(name_or_path)
    kwargs: dict[str, Any] = {} if offline is None else {"local_files_only": offline}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **kwargs)
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, attn_implementation="sdpa", use_safetensors=True, **kwargs
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"cannot load the base model {source!r}: {first} Give a folder, or a Hugging Face name "
            "that this machine may download or has in its cache."
        ) from error
    if tokenizer.pad_token_id is None:
        # Llama 3 has none; padding is masked out of attention and loss.
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def check_base(name_or_path: str | Path) -> str:
    """Tell a folder from a Hugging Face name, before anything heavy is imported.

    Returns
    -------
    str
        Absolute path of the folder, or the name.

    Raises
    ------
    ModelError
        If it looks like a path and is no folder with a ``config.json``.
    """
    text = str(name_or_path)
    path = Path(text).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"no base model in {path}: config.json is missing")
        return str(path.resolve())
    if isinstance(name_or_path, Path) or text.startswith((".", "/", "~")) or text.count("/") != 1:
        raise ModelError(
            f"no base model at {path}: make one with `design-loop base train`, or give a Hugging "
            "Face name (owner/model)"
        )
    return text


def base_hash(name_or_path: str | Path) -> str:
    """Content hash of a base model: its weights, configuration and tokenizer.

    Returns
    -------
    str
        sha256 over the files of a folder; for a Hugging Face name the hash of its cached commit, or
        ``"unknown"`` if it is not in the cache.
    """
    source = check_base(name_or_path)
    folder = Path(source)
    if not folder.is_dir():
        return _hub_commit(source)
    return base_folder_hash(folder)


def _hub_commit(name: str) -> str:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    # .../snapshots/<commit>/config.json
    return f"hub:{Path(found).parent.name}" if isinstance(found, str) else "unknown"


def model_card(facts: dict[str, Any]) -> str:
    """Text of the README.md that describes a trained base model, with its YAML header."""
    rows = "\n".join(
        f"| {k} | {v if isinstance(v, str | int | float) else f'`{json.dumps(v)}`'} |"
        for k, v in facts.items()
    )
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [materials, inverse-design, point-defects, 2d-materials]
---
# Small base model for point-defect design

A Llama-architecture model that writes point-defect configurations of 2D materials from an
instruction. It was pretrained without any property label, on enumerated and random defect
structures, so it knows the format, the hosts, the rules and how counts and distances are written;
what a gap or a formation energy is, a LoRA adapter has to teach it.

## Use
As base of `design-loop adapter train`; it loads in transformers and vLLM. Text outside the
instruction formats of the project is outside what it has seen.

## Limits
Its answers are proposals: they may break the rules, and without an adapter they have nothing to do
with the requested physical properties. Every answer has to be parsed and checked.

## Facts
| | |
|---|---|
{rows}
"""
