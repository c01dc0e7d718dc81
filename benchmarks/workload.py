"""Requests for made-up targets and what the answers to them are worth; shared by benchmarks."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from defects.errors import ParseError
from defects.hosts import get_host
from defects.rules import Rules
from defects.text import Frame, Request, build_prompt, longest_answer, parse_answer, random_frame
from serve.constraints import constraint_of

PROPERTIES = {"homo_lumo_gap": (0.3, 1.5), "formation_energy_per_site": (0.1, 1.5)}


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Options that say what is asked for."""
    parser.add_argument("--host", default="MoS2")
    parser.add_argument("--supercell", default="4x4")
    parser.add_argument("--defect", nargs="+", default=["V_Mo", "V_S", "W_Mo", "Se_S"])
    parser.add_argument("--max-defects", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)


def requests_of(fmt: str, number: int, args: argparse.Namespace) -> list[Request]:
    """Requests for random values, in the full format each in a frame of its own."""
    rng = np.random.default_rng(args.seed)
    host = get_host(args.host, args.supercell)
    rules = Rules(defects=tuple(args.defect), max_defects=args.max_defects)
    found = []
    for _ in range(number):
        asked = {name: float(rng.uniform(*bounds)) for name, bounds in PROPERTIES.items()}
        frame = random_frame(host, rng) if fmt == "full" else Frame()
        found.append(Request(host, rules, asked, frame))
    return found


def sampling(requests: Sequence[Request], fmt: str, n: int, seed: int) -> dict:
    """Arguments of `serve.client.ServeClient.complete`, less the model."""
    return {
        "prompts": [build_prompt(r, fmt) for r in requests],
        "n": n,
        "temperature": 1.0,
        "top_p": 1.0 if fmt == "full" else 0.9,
        "max_tokens": longest_answer(requests[0], fmt) + 16,
        "seed": seed,
        "constraints": [constraint_of(r, fmt) for r in requests],
    }


def outcomes(
    requests: Sequence[Request], fmt: str, answers: Iterable[Sequence[tuple[str, str]]]
) -> Counter[str]:
    """How many answers, (text, finish reason) per request, are "ok" or fail for which reason."""
    reasons: Counter[str] = Counter()
    for request, of_prompt in zip(requests, answers, strict=True):
        for text, finish in of_prompt:
            try:
                if finish == "length":
                    raise ParseError("truncated", "cut at max_tokens")
                parse_answer(text, request, fmt)
                reasons["ok"] += 1
            except ParseError as error:
                reasons[error.reason] += 1
    return reasons
