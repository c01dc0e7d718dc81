"""A grammar that was parsed once is not parsed again for every request that carries it.

vLLM 0.29 parses the grammar of every request, in the process that takes requests, only to see
whether it is one: 6 ms for MoS2 4x4, half of that process's work in a campaign whose requests all
carry the same grammar. The grammars here are the server's own (`serve.constraints`).

Imported in the engine's replica only.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import vllm.v1.structured_output.backend_xgrammar as backend

KEPT = 4096
"""Grammars remembered, by their hash."""


def install() -> None:
    """Make vLLM remember in this process which grammars it has checked."""
    backend.validate_xgrammar_grammar = once_per_grammar(backend.validate_xgrammar_grammar)


def once_per_grammar(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """`check`, skipped for a grammar that it has passed before.

    Parameters
    ----------
    check : callable
        Takes vLLM's `SamplingParams`; raises for what it refuses, which is then not remembered.
    """
    passed: OrderedDict[bytes, None] = OrderedDict()

    def checked(parameters: Any) -> None:
        asked = parameters.structured_outputs
        text = None if asked is None else asked.grammar
        if not text:
            check(parameters)
            return
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if digest not in passed:
            check(parameters)
            if asked.grammar != text:
                return  # rewritten by the check, and so it has to be the next time
            passed[digest] = None
            if len(passed) > KEPT:
                passed.popitem(last=False)

    return checked
