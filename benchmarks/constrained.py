"""What constrained decoding is worth and what it costs, through HTTP, with one engine start.

    python benchmarks/constrained.py --base untrained --compact 1024 --full 128
    python benchmarks/constrained.py --base small --adapter DIR --compact 512 --full 32
    python benchmarks/constrained.py --compact 0 --full 256 --repeats 4 --no-free --guesses 15

`untrained` is the shipped small model's architecture and tokenizer with random weights. Each format
is sampled with and without the grammar (`--no-free`: only with it), with the same prompts and
seeds; every repeat has a seed of its own. What is counted is what the parser takes. Tokens per
second are of whole runs after a warm-up; "first" is the warm-up of the constrained run, which
compiles the grammar.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from workload import add_rules, requests_of

from defects.errors import ParseError
from defects.text import Request, build_prompt, longest_answer, parse_answer
from serve.app import deploy
from serve.client import ServeClient
from serve.config import ServeConfig
from serve.constraints import constraint_of
from training.bundled import resolve_base

PER_PROMPT = 4


def untrained(folder: Path, seed: int) -> Path:
    """The shipped small model with random weights."""
    import torch
    from transformers import AutoConfig, LlamaForCausalLM

    shipped = Path(resolve_base("small"))
    torch.manual_seed(seed)
    LlamaForCausalLM(AutoConfig.from_pretrained(shipped)).save_pretrained(folder)
    for file in shipped.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


def measure(
    client: ServeClient, model: str, fmt: str, samples: int, constrained: bool, seed: int, args
) -> None:
    """Sample, parse and print one row."""
    requests = requests_of(fmt, -(-samples // PER_PROMPT), args)

    def complete(chosen: list[Request]):
        return client.complete(
            [build_prompt(r, fmt) for r in chosen],
            model,
            n=PER_PROMPT,
            top_p=args.top_p,
            max_tokens=longest_answer(chosen[0], fmt) + 16,
            seed=seed,
            constraints=[constraint_of(r, fmt) for r in chosen] if constrained else None,
        )

    start = time.perf_counter()
    complete(requests[:1])
    first = time.perf_counter() - start
    start = time.perf_counter()
    answers = complete(requests)
    elapsed = time.perf_counter() - start
    reasons: Counter[str] = Counter()
    for request, of_prompt in zip(requests, answers, strict=True):
        for answer in of_prompt:
            try:
                if answer.finish_reason == "length":
                    raise ParseError("truncated", "cut at max_tokens")
                parse_answer(answer.text, request, fmt)
                reasons["ok"] += 1
            except ParseError as error:
                reasons[error.reason] += 1
    tokens = sum(a.tokens for of_prompt in answers for a in of_prompt)
    total = sum(reasons.values())
    print(
        f"{fmt:8} {'grammar' if constrained else 'free':8} {total:6} samples  "
        f"valid {reasons['ok'] / total:7.2%}  {tokens / total:7.1f} tokens each  "
        f"{tokens / elapsed:7.0f} tokens/s  {reasons['ok'] / elapsed:7.2f} valid/s  "
        f"first {first:.1f} s  {dict(reasons.most_common())}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="untrained")
    parser.add_argument("--adapter", type=Path, help="finished adapter folder")
    parser.add_argument("--compact", type=int, default=1024, help="samples, 0 for none")
    parser.add_argument("--full", type=int, default=64, help="samples, 0 for none")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--no-free", action="store_true", help="only answers under the grammar")
    parser.add_argument("--guesses", type=int, default=0, help="engine.speculative_tokens")
    add_rules(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="design-loop-") as scratch:
        base = (
            str(untrained(Path(scratch) / "base", args.seed))
            if args.base == "untrained"
            else resolve_base(args.base)
        )
        adapter = None if args.adapter is None else args.adapter.resolve()
        config = ServeConfig(
            base_model=base,
            adapter_roots=() if adapter is None else (adapter.parent,),
            engine={"speculative_tokens": args.guesses},
        )
        start = time.perf_counter()
        with deploy(config) as handle, ServeClient(handle.base_url, timeout_s=3600) as client:
            print(f"{args.base}, up in {time.perf_counter() - start:.0f} s", flush=True)
            model = "base" if adapter is None else f"base:{adapter.name}"
            for repeat in range(args.repeats):
                for fmt, samples in (("compact", args.compact), ("full", args.full)):
                    for constrained in (True,) if args.no_free else (False, True):
                        if samples:
                            measure(client, model, fmt, samples, constrained, repeat, args)


if __name__ == "__main__":
    main()
