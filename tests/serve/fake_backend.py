"""A backend that answers like the real one: texts of the format asked for, numbers from counts."""

from __future__ import annotations

import random

from defects.text import answer_grammar
from serve.constraints import ConstraintTable
from serve.schemas import Constraint, Health

SPOILT = ("", "S1 9 9 VAC", "S1 0 0 VAC\nS1 0 0 VAC", "Mo0 0 0 U", "S1")


class FakeBackend:
    """Samples from the request's grammar; without a constraint every third answer is spoilt.

    Predicts a gap of 1 eV less 0.1 eV per defect, formation energy 0.2 eV per defect.
    """

    properties = ("homo_lumo_gap", "formation_energy")

    def __init__(self):
        self.calls = []
        self.llm = None  # what generate answers instead
        self.down = None  # what the surrogate says is wrong

    async def generate(self, kind, body, adapter):
        self.calls.append((kind, body, adapter))
        if self.llm is not None:
            return self.llm
        if kind == "chat" or "constraint" not in body:
            return {"status": 200, "body": _answer(kind, body, self._free(body))}
        table, rng = ConstraintTable(), random.Random(body.get("seed", 0))
        constraints = body["constraint"]
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        if isinstance(constraints, dict):
            constraints = [constraints] * len(prompts)
        texts = []
        for each in constraints:
            constraint = Constraint.model_validate(each)
            grammar = answer_grammar(table.request(constraint), constraint.format)
            texts += [grammar.sample(rng) for _ in range(body["n"])]
        return {"status": 200, "body": _answer(kind, body, texts)}

    def _free(self, body):
        number = len(body["prompt"]) if isinstance(body.get("prompt"), list) else 1
        rng = random.Random(body.get("seed", 0))
        return [
            SPOILT[i % len(SPOILT)] if i % 3 == 0 else f"S1 {rng.randrange(4)} 0 VAC"
            for i in range(number * body["n"])
        ]

    async def stream(self, kind, body, adapter):
        self.calls.append((kind, body, adapter))
        if self.llm is not None:
            yield self.llm
            return
        yield "data: 1\n\n"
        yield "data: [DONE]\n\n"

    async def predict(self, configurations):
        self.calls.append(configurations)
        if self.down is not None:
            message = {"message": self.down, "type": "surrogate_unavailable", "code": 503}
            return {"status": 503, "body": {"error": message}}
        rows = []
        for item in configurations:
            try:
                n = len(item["defects"])
            except TypeError:
                message = {"message": "not a configuration", "type": "invalid", "code": 422}
                return {"status": 422, "body": {"error": message}}
            mean = {"homo_lumo_gap": 1 - 0.1 * n, "formation_energy": 0.2 * n}
            rows.append({"mean": mean, "std": dict.fromkeys(mean, 0.05), "ood": n > 3})
        body = {"version": "v1", "properties": list(self.properties), "predictions": rows}
        return {"status": 200, "body": body}

    async def surrogate(self):
        if self.down is not None:
            return {"version": None, "properties": [], "error": self.down}
        return {"version": "v1", "properties": list(self.properties), "error": None}

    async def health(self):
        return Health(status="ok", llm="ok", surrogate="ok", surrogate_version="v1")


def _answer(kind, body, texts):
    """As the engine writes it: nothing is null."""
    choices = [
        {"index": i, "finish_reason": "stop", "token_ids": [1] * 5, **_said(kind, text)}
        for i, text in enumerate(texts)
    ]
    written = 5 * len(texts)
    return {
        "id": "cmpl-1",
        "object": "chat.completion" if kind == "chat" else "text_completion",
        "created": 1_750_000_000,
        "model": body["model"],
        "choices": choices,
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": written,
            "total_tokens": 7 + written,
        },
    }


def _said(kind, text):
    return {"message": {"role": "assistant", "content": text}} if kind == "chat" else {"text": text}
