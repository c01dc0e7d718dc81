"""Shapes of base models that this project's presets name, for planning without their files.

From the ``config.json`` of the models' pages on Hugging Face (the repositories are gated) and
Table 3 of "The Llama 3 Herd of Models" (arXiv:2407.21783).
"""

from __future__ import annotations

from typing import Any

_LLAMA_3 = {
    "model_type": "llama",
    "vocab_size": 128_256,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}

#: Hugging Face name -> what decides about parameters and memory.
SHAPES: dict[str, dict[str, Any]] = {
    "meta-llama/Llama-3.1-8B": _LLAMA_3
    | {
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 131_072,
    },
    "meta-llama/Meta-Llama-3-70B": _LLAMA_3
    | {
        "hidden_size": 8192,
        "intermediate_size": 28_672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "max_position_embeddings": 8192,
    },
}

#: How Llama 3's tokenizer cuts a text before it merges (its ``tokenizer.json``). No token spans two
#: pieces, and numbers and short words are one token each: a count for when it is not at hand.
LLAMA_3_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
