"""Guesses for answers that copy their prompt with some tokens replaced (speculative decoding).

In the full format an answer repeats every line of its prompt, but for the symbols that change.
vLLM's own n-gram lookup finds the place to go on from by the longest run of equal last tokens: a
replaced symbol ends the run, and until it is long enough again the lookup finds nothing, or other
lines that begin alike; a wrong guess costs as much as a right token. Here the last tokens may
differ in a few places, so the line after a replaced symbol is found at once.

Loaded by vLLM in its engine core, by name (method ``custom_class``); wrong guesses cost time only,
since the engine verifies all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WINDOW = 16
"""Last tokens that are compared: a line of one atom has 15 in the small model's vocabulary."""
DIFFERENT = 3
"""How many of them may differ."""


def next_tokens(tokens: np.ndarray, number: int) -> list[int]:
    """What followed the place that is most like the end of `tokens`.

    Parameters
    ----------
    tokens : (n,) int array
        Prompt and answer so far.
    number : int
        Most tokens to guess.

    Returns
    -------
    list of int
        Empty where no earlier place agrees with the last `WINDOW` tokens but for `DIFFERENT`.
    """
    n = len(tokens)
    ends = n - WINDOW  # windows that end before the last token
    if ends < 1:
        return []
    equal = np.zeros(ends, dtype=np.int8)
    for j in range(WINDOW):
        equal += tokens[j : j + ends] == tokens[n - WINDOW + j]
    best = int(equal.argmax())
    if equal[best] < WINDOW - DIFFERENT:
        return []
    start = best + WINDOW
    return tokens[start : start + number].tolist()


class CopyProposer:
    """What vLLM calls after every step.

    Parameters
    ----------
    vllm_config : vllm.config.VllmConfig
    """

    def __init__(self, vllm_config: Any) -> None:
        self.number = vllm_config.speculative_config.num_speculative_tokens
        self.longest = vllm_config.model_config.max_model_len

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """There is none."""

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: np.ndarray,
        token_ids_cpu: np.ndarray,
        slot_mappings: Any = None,
    ) -> list[list[int]]:
        """Guesses per row of the batch; none for rows that sampled nothing in this step."""
        found = []
        for row, sampled in enumerate(sampled_token_ids):
            n = int(num_tokens_no_spec[row])
            room = min(self.number, self.longest - n - 1)
            if sampled and room > 0:
                found.append(next_tokens(token_ids_cpu[row, :n], room))
            else:
                found.append([])
        return found
