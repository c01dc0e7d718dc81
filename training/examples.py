"""Training examples as token ids: loss on the answer only, batches of similar length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORE = -100
"""Label of tokens without loss, the ``ignore_index`` of PyTorch's cross entropy."""


@dataclass(frozen=True)
class Example:
    """One instruction with its answer.

    Attributes
    ----------
    prompt, answer : str
        The answer without end-of-text token.
    weight : float
        How much the example counts in the loss, relative to others; above 0.
    """

    prompt: str
    answer: str
    weight: float = 1.0


@dataclass(frozen=True)
class Encoded:
    """Token ids of an example: the first ``n_prompt`` of ``ids`` are the prompt."""

    ids: np.ndarray
    n_prompt: int
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.ids)


def encode(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int | None = None
) -> list[Encoded]:
    """Tokenise prompt and answer apart, as at sampling, and end the answer with end-of-text.

    Parameters
    ----------
    examples : sequence of Example
    tokenizer : PreTrainedTokenizerBase
        Of the base model; its own begin-of-text token, if it has one, opens the prompt.
    max_length : int, optional
        Longer examples are left out: a cut answer would teach the model to stop in the middle.
    """
    if not examples:
        return []
    prompts = tokenizer([e.prompt for e in examples])["input_ids"]
    answers = tokenizer([e.answer for e in examples], add_special_tokens=False)["input_ids"]
    end = [tokenizer.eos_token_id]
    encoded = [
        Encoded(np.array(p + a + end, dtype=np.int64), len(p), e.weight)
        for p, a, e in zip(prompts, answers, examples, strict=True)
    ]
    return [e for e in encoded if max_length is None or len(e) <= max_length]


def collate(batch: Sequence[Encoded], pad_id: int) -> dict[str, np.ndarray]:
    """Pad to the longest on the right.

    Padding on the right needs no attention mask: under causal attention nothing before it sees it,
    and it has no loss. That keeps the fast attention kernels.

    Returns
    -------
    dict
        ``input_ids`` and ``labels``, int64 (b, t), labels `IGNORE` on prompt and padding;
        ``weights``, float32 (b,).
    """
    width = max(len(e) for e in batch)
    ids = np.full((len(batch), width), pad_id, dtype=np.int64)
    labels = np.full_like(ids, IGNORE)
    for row, e in enumerate(batch):
        ids[row, : len(e)] = e.ids
        labels[row, e.n_prompt : len(e)] = e.ids[e.n_prompt :]
    weights = np.array([e.weight for e in batch], dtype=np.float32)
    return {"input_ids": ids, "labels": labels, "weights": weights}


def length_batches(
    encoded: Sequence[Encoded], max_tokens: int, rng: np.random.Generator
) -> list[list[Encoded]]:
    """Cut examples into batches of similar length, in random order.

    Parameters
    ----------
    max_tokens : int
        Most tokens of a batch, padding included; a longer example is a batch of its own.
    rng : numpy Generator
        Shuffles examples of equal length and the batches.
    """
    order = rng.permutation(len(encoded))
    order = sorted(order, key=lambda i: len(encoded[i]))
    batches: list[list[Encoded]] = []
    for i in order:
        e = encoded[i]
        if batches and (len(batches[-1]) + 1) * len(e) <= max_tokens:
            batches[-1].append(e)
        else:
            batches.append([e])
    return [batches[i] for i in rng.permutation(len(batches))]


def stream_batches(
    examples: Iterable[tuple[str, str] | Example],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_tokens: int,
    max_length: int,
    pool: int = 2048,
    seed: int = 0,
) -> Iterator[dict[str, np.ndarray]]:
    """Batches from an endless stream: draw a pool, cut it by length, shuffle, draw the next.

    Parameters
    ----------
    examples : iterable of (prompt, answer) or Example
    pool : int
        Examples among which those of similar length are found.
    """
    rng = np.random.default_rng(seed)
    held: list[Example] = []
    for item in examples:
        held.append(item if isinstance(item, Example) else Example(*item))
        if len(held) == pool:
            encoded = encode(held, tokenizer, max_length)
            held = []
            for batch in length_batches(encoded, max_tokens, rng):
                yield collate(batch, tokenizer.pad_token_id)
