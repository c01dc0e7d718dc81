"""Seeded requests on the CPU that do not end the engine.

A prompt that does not fit a step's token budget is read in parts. After a part vLLM samples a
token, throws it away and rewinds the request's generator by CUDA's counter, which PyTorch's CPU
generator does not have: vLLM 0.29's engine core ends with "CPU Generator does not use offset", and
every request with it. Here the generators of such requests keep the state they had before.

Imported in the engine core's process only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vllm.v1.worker.cpu_model_runner import CPUModelRunner


def install() -> None:
    """Make vLLM's CPU model runner restore generator states in this process."""
    CPUModelRunner._sample = _sample_and_rewind(CPUModelRunner._sample)
    CPUModelRunner._bookkeeping_sync = _without_rewinding(CPUModelRunner._bookkeeping_sync)


def _unfinished_generators(runner: Any) -> dict[int, Any]:
    """Generators of the requests whose sampled token is thrown away, by row."""
    generators = runner.input_batch.generators
    if not generators:
        return {}
    mask = runner.discard_request_mask.np[: runner.input_batch.num_reqs]
    return {int(i): generators[int(i)] for i in np.nonzero(mask)[0] if int(i) in generators}


def _sample_and_rewind(sample: Any) -> Any:
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        states = [(g, g.get_state()) for g in _unfinished_generators(self).values()]
        output = sample(self, *args, **kwargs)
        for generator, state in states:
            generator.set_state(state)
        return output

    return wrapped


def _without_rewinding(bookkeeping: Any) -> Any:
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        hidden = _unfinished_generators(self)
        for row in hidden:
            del self.input_batch.generators[row]
        try:
            return bookkeeping(self, *args, **kwargs)
        finally:
            self.input_batch.generators.update(hidden)

    return wrapped
