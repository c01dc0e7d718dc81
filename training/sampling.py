"""Sampling with plain transformers, for evaluation while training; campaigns sample with vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    top_p: float = 0.9,
    batch_size: int = 64,
    seed: int = 0,
) -> list[str]:
    """Sample one answer per prompt.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
    prompts : sequence of str
        Repeat a prompt for several samples of it.
    temperature : float
        0 takes the likeliest token each time.

    Returns
    -------
    list of str
        Answers in the order of the prompts, without special tokens.
    """
    import torch

    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    # Similar lengths together: less padding.
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers = [""] * len(prompts)
    sampled = (
        {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
        if temperature > 0
        else {"do_sample": False, "temperature": None, "top_p": None}
    )
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        for start in range(0, len(order), batch_size):
            chunk = order[start : start + batch_size]
            inputs = tokenizer(
                [prompts[i] for i in chunk],
                padding=True,
                padding_side="left",
                return_tensors="pt",
                return_token_type_ids=False,
            ).to(device)
            out = model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                **sampled,
            )
            new = out[:, inputs["input_ids"].shape[1] :]
            texts = tokenizer.batch_decode(new, skip_special_tokens=True)
            for i, text in zip(chunk, texts, strict=True):
                answers[i] = text
    model.train(was_training)
    return answers
