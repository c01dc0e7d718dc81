"""Batches of a pretraining corpus, made in a process of their own while the model computes."""

from __future__ import annotations

import multiprocessing
import queue
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.errors import ModelError
from training.examples import Example, stream_batches

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Corpus = Callable[[int], Iterable[tuple[str, str] | Example]]
"""Called with a seed; picklable: a function of a module, or `functools.partial` of one."""


class BatchStream:
    """Iterator over batches that a worker process prepares.

    Parameters
    ----------
    corpus : callable
        ``corpus(seed)`` yields (prompt, answer) pairs without end.
    tokenizer : PreTrainedTokenizerBase
    seed : int
    max_tokens, max_length : int
        See `training.examples.stream_batches`.
    ahead : int
        Batches kept ready.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: PreTrainedTokenizerBase,
        *,
        seed: int,
        max_tokens: int,
        max_length: int,
        ahead: int = 16,
    ) -> None:
        # spawn: a forked child of a process with OpenMP threads can hang.
        context = multiprocessing.get_context("spawn")
        self._queue: Any = context.Queue(maxsize=ahead)
        args = (self._queue, corpus, tokenizer, seed, max_tokens, max_length)
        self._process = context.Process(target=_produce, args=args, daemon=True)
        self._process.start()

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        while True:
            try:
                item = self._queue.get(timeout=5)
            except queue.Empty:
                if self._process.is_alive():
                    continue
                raise ModelError(
                    f"the corpus process died with exit code {self._process.exitcode}"
                ) from None
            if isinstance(item, str):
                raise ModelError(f"the corpus failed: {item}")
            return item

    def __enter__(self) -> BatchStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.join()
        self._queue.close()


def _produce(
    out: Any,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    max_tokens: int,
    max_length: int,
) -> None:
    try:
        for batch in stream_batches(
            corpus(seed), tokenizer, max_tokens=max_tokens, max_length=max_length, seed=seed
        ):
            out.put(batch)
        out.put("it ended; it has to be endless")
    # Whatever goes wrong in a user's corpus is told by the parent.
    except Exception:  # noqa: BLE001
        out.put(traceback.format_exc(limit=-3))
