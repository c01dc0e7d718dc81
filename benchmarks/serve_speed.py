"""Candidates per second: over HTTP, by vLLM alone, compact and full, with and without speculation.

    python benchmarks/serve_speed.py --compact-adapter DIR --full-adapter DIR --repeats 3

The same prompts, adapter, grammar, seeds and number of samples go over HTTP to a served engine and,
in a process of their own, to vLLM's offline `LLM.generate` with the same engine settings (and the
project's mended CPU kernels, which would flatter HTTP otherwise). One engine runs at a time; a
candidate is a sample that the parser takes. Every run is warmed up with other prompts first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from workload import add_rules, outcomes, requests_of, sampling

from serve.app import deploy
from serve.client import ServeClient
from serve.config import EngineConfig, ServeConfig
from serve.constraints import ConstraintTable
from training.bundled import resolve_base

VARIANTS = {
    "plain": {"speculative_tokens": 0, "enable_prefix_caching": True},
    "speculation": {"enable_prefix_caching": True},
    "neither": {"speculative_tokens": 0, "enable_prefix_caching": False},
}


def config_of(variant: str, args: argparse.Namespace) -> ServeConfig:
    """The served configuration of a variant; the offline engine takes its settings from it."""
    settings = dict(VARIANTS[variant])
    settings.setdefault("speculative_tokens", args.speculative_tokens)
    adapters = [a for a in (args.compact_adapter, args.full_adapter) if a is not None]
    return ServeConfig(
        base_model=resolve_base(args.base),
        adapter_roots=tuple(dict.fromkeys(a.resolve().parent for a in adapters)),
        engine=EngineConfig(
            cpu_threads=args.threads, cache_block_tokens=args.block_tokens, **settings
        ),
    )


def adapter_of(fmt: str, args: argparse.Namespace) -> Path | None:
    adapter = args.compact_adapter if fmt == "compact" else args.full_adapter
    return None if adapter is None else adapter.resolve()


def jobs(fmts: list[str], args: argparse.Namespace) -> list[tuple[str, int, int]]:
    """(format, number of prompts, seed): a warm-up of every format, then the repeats."""
    number = {"compact": args.compact, "full": args.full}
    found = [(f, max(1, number[f] // args.n // 8), 10_000) for f in fmts]
    found += [(f, number[f] // args.n, r) for r in range(args.repeats) for f in fmts]
    return found


def row(way: str, variant: str, fmt: str, requests: list, answers: list, seconds: float) -> dict:
    """One measurement; an answer is (text, finish reason, tokens)."""
    found = outcomes(requests, fmt, [[a[:2] for a in of_prompt] for of_prompt in answers])
    total = sum(found.values())
    tokens = sum(a[2] for of_prompt in answers for a in of_prompt)
    return {
        "way": way,
        "variant": variant,
        "format": fmt,
        "samples": total,
        "valid": found["ok"] / total,
        "candidates_per_s": found["ok"] / seconds,
        "tokens_per_s": tokens / seconds,
        "tokens_each": tokens / total,
        "seconds": seconds,
    }


def over_http(variant: str, fmts: list[str], args: argparse.Namespace) -> list[dict]:
    """Serve, measure, take down."""
    began = time.perf_counter()
    rows = []
    with (
        deploy(config_of(variant, args)) as handle,
        ServeClient(handle.base_url, timeout_s=3600) as client,
    ):
        up = time.perf_counter() - began
        for fmt, prompts, seed in jobs(fmts, args):
            args.seed = seed
            requests = requests_of(fmt, prompts, args)
            adapter = adapter_of(fmt, args)
            model = "base" if adapter is None else f"base:{adapter.name}"
            work = sampling(requests, fmt, args.n, seed)
            began = time.perf_counter()
            got = client.complete(work.pop("prompts"), model, **work)
            seconds = time.perf_counter() - began
            answers = [[(a.text, a.finish_reason, a.tokens) for a in of] for of in got]
            rows.append(row("http", variant, fmt, requests, answers, seconds) | {"up": up})
            report(rows[-1], warm=seed < 10_000)
    return [r for r, job in zip(rows, jobs(fmts, args), strict=True) if job[2] < 10_000]


def offline(variant: str, fmts: list[str], args: argparse.Namespace) -> list[dict]:
    """The same in a process of its own, by `LLM.generate`."""
    command = [sys.executable, __file__, *sys.argv[1:], "--offline", variant, *fmts]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def generate_offline(variant: str, fmts: list[str], args: argparse.Namespace) -> None:
    """Body of that process."""
    import os

    from serve.deployments import engine_environment
    from serve.engine_process import EngineContext, begin_imports

    config = config_of(variant, args)
    os.environ.update(engine_environment(config, "cpu"))
    begin_imports()
    import vllm.v1.engine.utils as engine_utils
    from vllm import LLM, SamplingParams
    from vllm.engine.arg_utils import EngineArgs
    from vllm.lora.request import LoRARequest
    from vllm.sampling_params import StructuredOutputsParams

    from serve.ray_llm import build_llm_config

    engine_utils.get_mp_context = lambda: EngineContext("forkserver")
    create = EngineArgs.create_engine_config

    def in_one_process(*arguments: Any, **keywords: Any) -> Any:
        # As `serve.ray_llm.LocalEngine`: vLLM sets "mp" on a CPU whatever it is asked for.
        made = create(*arguments, **keywords)
        made.parallel_config.distributed_executor_backend = "uni"
        return made

    EngineArgs.create_engine_config = in_one_process
    llm = LLM(model=config.base_model, **build_llm_config(config, "cpu").engine_kwargs)
    table = ConstraintTable()
    for fmt, prompts, seed in jobs(fmts, args):
        args.seed = seed
        requests = requests_of(fmt, prompts, args)
        adapter = adapter_of(fmt, args)
        work = sampling(requests, fmt, args.n, seed)
        began = time.perf_counter()
        lora = adapter and LoRARequest(adapter.name, 1 + (fmt == "full"), str(adapter))
        parameters = [
            SamplingParams(
                n=args.n,
                temperature=work["temperature"],
                top_p=work["top_p"],
                max_tokens=work["max_tokens"],
                seed=seed + k * args.n,
                structured_outputs=StructuredOutputsParams(grammar=table.grammar(constraint)),
            )
            for k, constraint in enumerate(work["constraints"])
        ]
        got = llm.generate(work["prompts"], parameters, use_tqdm=False, lora_request=lora)
        seconds = time.perf_counter() - began
        answers = [
            [(o.text, o.finish_reason or "", len(o.token_ids)) for o in result.outputs]
            for result in got
        ]
        if seed < 10_000:
            print(json.dumps(row("offline", variant, fmt, requests, answers, seconds)), flush=True)


def report(found: dict, warm: bool = True) -> None:
    if warm:
        shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}
        print(json.dumps(shown), file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="small")
    parser.add_argument("--compact-adapter", type=Path)
    parser.add_argument("--full-adapter", type=Path)
    parser.add_argument("--compact", type=int, default=1024, help="samples per repeat")
    parser.add_argument("--full", type=int, default=64, help="samples per repeat")
    parser.add_argument("--n", type=int, default=8, help="samples per prompt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--speculative-tokens", type=int, default=8)
    parser.add_argument("--block-tokens", type=int)
    parser.add_argument("--only", nargs="+", help="WAY:VARIANT:FORMAT[,FORMAT]")
    parser.add_argument("--offline", nargs="+", help=argparse.SUPPRESS)
    add_rules(parser)
    args = parser.parse_args()
    if args.offline:
        generate_offline(args.offline[0], args.offline[1:], args)
        return
    rows = []
    for job in args.only or (
        "offline:plain:compact,full",
        "http:plain:compact,full",
        "offline:speculation:full",
        "http:speculation:full",
        "http:neither:full",
    ):
        way, variant, fmts = job.split(":")
        found = (over_http if way == "http" else offline)(variant, fmts.split(","), args)
        if way == "offline":
            for each in found:
                report(each)
        rows += found
    rates: dict[tuple[str, str, str], float] = {}
    for key in dict.fromkeys((r["way"], r["variant"], r["format"]) for r in rows):
        each = [r for r in rows if (r["way"], r["variant"], r["format"]) == key]
        rates[key] = statistics.median(r["candidates_per_s"] for r in each)
        spread = [round(r["candidates_per_s"], 2) for r in each]
        tokens = statistics.median(r["tokens_per_s"] for r in each)
        valid = statistics.mean(r["valid"] for r in each)
        print(
            f"{' '.join(key):28} {rates[key]:8.2f} candidates/s {spread}  "
            f"{tokens:7.0f} tokens/s  valid {valid:.2%}"
        )
    for name, over, under in (
        ("HTTP / offline, compact", ("http", "plain", "compact"), ("offline", "plain", "compact")),
        ("HTTP / offline, full", ("http", "plain", "full"), ("offline", "plain", "full")),
        (
            "HTTP / offline, full, speculation",
            ("http", "speculation", "full"),
            ("offline", "speculation", "full"),
        ),
        ("compact / full", ("http", "plain", "compact"), ("http", "plain", "full")),
        (
            "full, speculation + cache / neither",
            ("http", "speculation", "full"),
            ("http", "neither", "full"),
        ),
    ):
        if over in rates and under in rates:
            print(f"{name}: {rates[over] / rates[under]:.2f}")


if __name__ == "__main__":
    main()
