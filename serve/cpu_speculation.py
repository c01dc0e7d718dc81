"""Speculative decoding on the CPU that samples from the model's distribution.

vLLM 0.29's CPU build spreads a request's temperature and top-p over its guessed tokens with a
kernel for integers: it is handed converted copies, and what it writes into the copy of the result
is dropped. Temperatures are then whatever lay in memory, so hardly a guess is accepted and what is
sampled instead follows another distribution. Greedy answers do not pass there and are right.

Imported in the engine core's process only.
"""

from __future__ import annotations

import torch
import vllm.v1.sample.rejection_sampler as rejection_sampler


def install() -> None:
    """Make vLLM's rejection sampler use `expand_batch_to_tokens` in this process."""
    rejection_sampler.expand_batch_to_tokens = expand_batch_to_tokens


def expand_batch_to_tokens(
    x: torch.Tensor,
    cu_num_tokens: torch.Tensor,
    num_tokens: int,
    replace_from: float = 0,
    replace_to: float = 0,
) -> torch.Tensor:
    """Every request's value once per guessed token.

    Parameters
    ----------
    x : (requests,) tensor
    cu_num_tokens : (requests,) integer tensor
        Guessed tokens up to and including each request's.
    num_tokens : int
        Their number in all.
    replace_from, replace_to : float
        The former becomes the latter (a temperature of 0 is none to divide by).

    Returns
    -------
    (num_tokens,) tensor
    """
    if replace_from != replace_to:
        x = torch.where(x == replace_from, torch.full_like(x, replace_to), x)
    counts = torch.diff(cu_num_tokens, prepend=cu_num_tokens.new_zeros(1))
    return torch.repeat_interleave(x, counts.to(torch.int64), output_size=num_tokens)
