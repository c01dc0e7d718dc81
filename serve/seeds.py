"""Repeatable samples that differ between prompts.

vLLM seeds sample i of every prompt in a request with ``seed + i``: two equal prompts in one request
then give equal samples, and what a prompt gives depends on nothing but `i`. A seeded request with
several prompts is therefore taken apart, and sample i of prompt k gets ``seed + k * n + i``. How a
client splits a list of prompts over requests then makes no difference to the seeds.
"""

from __future__ import annotations

from typing import Any

SEED_RANGE = 2**63


def split_by_prompt(body: dict[str, Any]) -> list[dict[str, Any]]:
    """One body per prompt, seeded apart; the body itself where that is not needed."""
    prompts, seed = body.get("prompt"), body.get("seed")
    if seed is None or not isinstance(prompts, list) or len(prompts) < 2:
        return [body]
    n = body.get("n", 1)
    return [
        {**body, "prompt": prompt, "seed": (seed + k * n) % SEED_RANGE}
        for k, prompt in enumerate(prompts)
    ]


def join_answers(answers: list[dict[str, Any]], n: int) -> dict[str, Any]:
    """One completion answer from those of `split_by_prompt`, as if it had been one request."""
    if len(answers) == 1:
        return answers[0]
    choices = [
        {**choice, "index": k * n + choice["index"]}
        for k, answer in enumerate(answers)
        for choice in answer["choices"]
    ]
    usage = {
        key: sum((answer.get("usage") or {}).get(key) or 0 for answer in answers)
        for key in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    return {**answers[0], "choices": choices, "usage": usage}
