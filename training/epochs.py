"""Order of the examples: batches of an epoch, a worker's share, micro-batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.examples import Encoded


def epoch_batches(
    encoded: Sequence[Encoded], batch_size: int, seed: int, pool_batches: int = 16
) -> list[list[Encoded]]:
    """Shuffle an epoch and cut it into batches of similar length.

    Parameters
    ----------
    batch_size : int
        Examples per optimizer step; the last batch may be smaller.
    seed : int
        Of this epoch.
    pool_batches : int
        Batches among which examples are sorted by length: enough to save padding, few enough that
        a batch stays a random one.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(encoded))
    batches = []
    pool = batch_size * pool_batches
    for start in range(0, len(order), pool):
        chunk = sorted(order[start : start + pool], key=lambda i: len(encoded[i]))
        batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    return [[encoded[i] for i in batches[j]] for j in rng.permutation(len(batches))]


def answer_weight(batch: Sequence[Encoded]) -> float:
    """Sum of the weights of a batch's answer tokens, which its loss is divided by."""
    return float(sum(e.weight * (len(e) - e.n_prompt) for e in batch))


def worker_share(batch: Sequence[Encoded], rank: int, world: int) -> list[Encoded]:
    """Examples of one data-parallel worker, never none.

    Workers meet at every backward pass: one without an example takes part with weight 0.
    """
    share = list(batch[rank::world])
    if share:
        return share
    return [Encoded(batch[0].ids, batch[0].n_prompt, 0.0)]


def micro_batches(batch: Sequence[Encoded], max_tokens: int) -> list[list[Encoded]]:
    """Cut a batch so that no part, padding included, has more tokens; longest first."""
    parts: list[list[Encoded]] = []
    for e in sorted(batch, key=len, reverse=True):
        if parts and (len(parts[-1]) + 1) * len(parts[-1][0]) <= max_tokens:
            parts[-1].append(e)
        else:
            parts.append([e])
    return parts
