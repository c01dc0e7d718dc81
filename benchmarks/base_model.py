"""What a base model has learnt: valid answers, and label-free requests that its answers meet.

    python benchmarks/base_model.py --base small
    python benchmarks/base_model.py --base DIR --num 256 --out base.json

Requests are drawn as in pretraining (`training/corpus.py`), but never trained on: another seed, and
the number of requests is endless. Sampled with plain transformers, temperature 1.0.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from defects.descriptors import describe
from defects.errors import ParseError
from defects.hosts import get_host
from defects.sampling import random_configuration
from defects.text import Frame, Request, build_answer, build_prompt, parse_answer, random_frame
from training.base_model import load_base
from training.bundled import resolve_base
from training.corpus import COMPACT_PARTS, FULL_PARTS, Part, random_request, random_rules
from training.sampling import generate

#: A number that is met may differ by this share of itself (sums) or this many Å (distances).
TOLERANCE = 0.02


def measure(
    model: Any, tokenizer: Any, part: Part, num: int, seed: int, top_p: float
) -> dict[str, Any]:
    """Figures of one host, supercell and format."""
    rng = np.random.default_rng([seed, 77])
    host = get_host(part.host, part.supercell)
    requests = []
    for _ in range(num):
        rules = random_rules(part, rng)
        asked = random_request(random_configuration(host, rules, rng), rng)
        frame = random_frame(host, rng) if part.fmt == "full" else Frame()
        requests.append(Request(host, rules, asked, frame))
    pristine_length = len(
        tokenizer(
            build_answer(random_configuration(host, requests[0].rules, rng), requests[0], part.fmt)
        ).input_ids
    )
    longest = 80 if part.fmt == "compact" else pristine_length + 8
    started = time.perf_counter()
    answers = generate(
        model,
        tokenizer,
        [build_prompt(r, part.fmt) for r in requests],
        max_new_tokens=longest,
        batch_size=64 if part.fmt == "compact" else 16,
        top_p=top_p,
        seed=seed,
    )
    reasons: Counter[str] = Counter()
    met: dict[str, list[bool]] = defaultdict(list)
    for request, answer in zip(requests, answers, strict=True):
        try:
            configuration = parse_answer(answer, request, part.fmt)
        except ParseError as error:
            reasons[error.reason] += 1
            continue
        reasons["ok"] += 1
        names = list(request.properties)
        found = describe(configuration, names)
        for name in names:
            met[name].append(_meets(request.properties[name], found.get(name)))
    return {
        "host": part.host,
        "supercell": part.supercell,
        "format": part.fmt,
        "samples": num,
        "valid": reasons.pop("ok", 0) / num,
        "dropped": dict(reasons.most_common()),
        "met": {name: round(float(np.mean(v)), 3) for name, v in sorted(met.items())},
        "seconds": round(time.perf_counter() - started, 1),
    }


def _meets(asked: float | int | str, found: float | int | str | None) -> bool:
    if isinstance(asked, str) or isinstance(found, str) or found is None:
        return asked == found
    return abs(asked - found) <= TOLERANCE * max(1.0, abs(asked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="small")
    parser.add_argument("--num", type=int, default=128, help="requests per host and format")
    parser.add_argument("--only", help="HOST-SUPERCELL-FORMAT, such as MoS2-4x4-full")
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    model, tokenizer = load_base(resolve_base(arguments.base))
    found = []
    for part in (*COMPACT_PARTS, *FULL_PARTS):
        if arguments.only in (None, f"{part.host}-{part.supercell}-{part.fmt}"):
            figures = measure(
                model, tokenizer, part, arguments.num, arguments.seed, arguments.top_p
            )
            found.append(figures)
            print(json.dumps(found[-1]), flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
