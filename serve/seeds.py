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
    """One body per prompt, seeded and constrained apart; the body itself where not needed."""
    prompts, seed, constraint = body.get("prompt"), body.get("seed"), body.get("constraint")
    if isinstance(constraint, list) and all(c == constraint[0] for c in constraint):
        body = {**body, "constraint": constraint[0]}
        constraint = constraint[0]
    apart = seed is not None or isinstance(constraint, list)
    if not apart or not isinstance(prompts, list) or len(prompts) < 2:
        return [body]
    n = body.get("n", 1)
    parts = [{**body, "prompt": prompt} for prompt in prompts]
    for k, part in enumerate(parts):
        if seed is not None:
            part["seed"] = (seed + k * n) % SEED_RANGE
        if isinstance(constraint, list):
            part["constraint"] = constraint[k]
    return parts


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
