"""What a server does at twice its capacity: which answers, how much memory, how soon it is well.

    python benchmarks/load.py --seconds 120 --out report.json

A real `design-loop serve` with vLLM, the small model, a surrogate and API keys gets a mix of
completions, designs and predictions. First its capacity is measured: so many requests per second
are answered when a fixed number is always under way. Then requests arrive at twice that rate,
whether answers come or not (an open loop with exponential gaps), which is what overload is: users
of a closed loop, such as locust's, wait for their answers and so ask less the slower the server is.
Hence asyncio and httpx here. At last single designs are asked for until they take as long as
before the load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from served import DEFECTS, Memory, Served, design_body

ALLOWED = {"200", "408", "429", "503"}
CONSTRAINT = {
    "host": "MoS2",
    "supercell": [4, 4, 1],
    "defects": list(DEFECTS),
    "max_defects": 6,
}
PROMPT = "Design point defects in a 2D crystal.\nHost: MoS2, supercell 4x4x1\nAnswer:\n"


def request_of(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Path and body: half predictions, a third completions, the rest designs."""
    kind = rng.random()
    if kind < 0.5:
        sites = [[rng.randrange(16), "VAC"] for _ in range(1)]
        one = {"host": "MoS2", "supercell": [4, 4, 1], "defects": sites}
        return "/v1/predict", {"configurations": [one] * 16}
    if kind < 0.83:
        body = {"model": "base", "prompt": [PROMPT] * 2, "n": 4, "max_tokens": 64}
        return "/v1/completions", {**body, "constraint": CONSTRAINT}
    return "/v1/design", design_body(seed=rng.randrange(2**31), structure="none")


@dataclass
class Answers:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    by_path: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    without_wait: int = 0
    """429 and 503 that did not say when to come back."""

    def add(self, path: str, status: str, seconds: float, told: bool = True) -> None:
        self.statuses[status] += 1
        self.by_path.setdefault(path, Counter())[status] += 1
        if status == "200":
            self.seconds.append(seconds)
        self.without_wait += status in ("429", "503") and not told


async def ask(client: httpx.AsyncClient, key: str, rng: random.Random, into: Answers) -> None:
    path, body = request_of(rng)
    began = time.monotonic()
    try:
        reply = await client.post(path, json=body, headers={"Authorization": f"Bearer {key}"})
    except httpx.HTTPError as error:
        into.add(path, type(error).__name__, 0.0)
        return
    told = "retry-after" in reply.headers
    into.add(path, str(reply.status_code), time.monotonic() - began, told)


async def closed_loop(served: Served, seconds: float, users: int, rng: random.Random) -> float:
    """Requests answered per second with `users` always under way."""
    answers = Answers()
    end = time.monotonic() + seconds
    async with _client(served) as client:

        async def user() -> None:
            while time.monotonic() < end:
                await ask(client, served.keys[0], rng, answers)

        began = time.monotonic()
        await asyncio.gather(*(user() for _ in range(users)))
    if set(answers.statuses) != {"200"}:
        raise RuntimeError(f"not all answers were 200 below capacity: {answers.statuses}")
    return answers.statuses["200"] / (time.monotonic() - began)


async def open_loop(
    served: Served, seconds: float, rate: float, normal: float, rng: random.Random
) -> tuple[Answers, float | None]:
    """Requests at `rate` per second, whatever becomes of them, to the last answer.

    Returns
    -------
    Answers
    float or None
        Seconds from the last request to the recovery, see `recovery`.
    """
    answers = Answers()
    tasks: set[asyncio.Task[None]] = set()
    async with _client(served) as client:
        due = time.monotonic()
        end = due + seconds
        while due < end:
            due += rng.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            key = served.keys[rng.random() < 0.25]
            task = asyncio.create_task(ask(client, key, rng, answers))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        recovered, *_ = await asyncio.gather(recovery(served, client, normal), *tasks)
    return answers, recovered


def _client(served: Served) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=served.url,
        timeout=300,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
    )


def latency(served: Served, number: int) -> list[float]:
    """Seconds of designs one after the other."""
    found = []
    for i in range(number):
        began = time.monotonic()
        reply = served.design(seed=i, structure="none")
        reply.raise_for_status()
        found.append(time.monotonic() - began)
    return found


async def recovery(
    served: Served, client: httpx.AsyncClient, normal: float, most_s: float = 120
) -> float | None:
    """Seconds until two designs in a row are answered as fast as before, None if never.

    The time counts from now to the first of the two; as fast is within twice the median before.
    """
    began, first = time.monotonic(), None
    headers = {"Authorization": f"Bearer {served.keys[0]}"}
    while time.monotonic() - began < most_s:
        sent = time.monotonic()
        body = design_body(seed=1, structure="none")
        reply = await client.post("/v1/design", json=body, headers=headers)
        if reply.status_code == 200 and time.monotonic() - sent < 2 * normal:
            if first is not None:
                return first
            first = sent - began
        else:
            first = None
            await asyncio.sleep(0.5)
    return None


def memory_figures(samples: list[tuple[float, int]]) -> dict[str, float]:
    """MiB before, at most, and how much more in the last third than in the middle one."""
    sizes = [size / 2**20 for _, size in samples]
    third = max(1, len(sizes) // 3)
    middle, last = sizes[third : 2 * third] or sizes, sizes[-third:]
    return {
        "first_mib": round(sizes[0]),
        "most_mib": round(max(sizes)),
        "growth_mib": round(statistics.median(last) - statistics.median(middle), 1),
    }


def measure(served: Served, args: argparse.Namespace) -> dict[str, Any]:
    """The whole test."""
    rng = random.Random(args.seed)
    latency(served, 2)
    normal = statistics.median(latency(served, 5))
    capacity = asyncio.run(closed_loop(served, args.capacity_seconds, args.users, rng))
    memory = Memory(served)
    answers, recovered = asyncio.run(
        open_loop(served, args.seconds, args.times * capacity, normal, rng)
    )
    seen = memory.stop()
    seconds = sorted(answers.seconds)
    return {
        "normal_s": round(normal, 3),
        "capacity_per_s": round(capacity, 2),
        "asked_per_s": round(args.times * capacity, 2),
        "requests": sum(answers.statuses.values()),
        "statuses": dict(answers.statuses),
        "by_path": {path: dict(counts) for path, counts in sorted(answers.by_path.items())},
        "others": sorted(set(answers.statuses) - ALLOWED),
        "without_retry_after": answers.without_wait,
        "seconds_median": round(statistics.median(seconds), 2) if seconds else None,
        "seconds_99": round(seconds[int(0.99 * len(seconds))], 2) if seconds else None,
        "memory": memory_figures(seen),
        "recovered_s": None if recovered is None else round(recovered, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--capacity-seconds", type=float, default=20)
    parser.add_argument("--users", type=int, default=16, help="under way while capacity is found")
    parser.add_argument("--times", type=float, default=2.0, help="of the capacity")
    parser.add_argument("--threads", type=int, help="of the engine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="design-loop-load-") as folder:
        settings = {"engine": {"cpu_threads": args.threads}}
        with Served(Path(folder), settings) as served:
            print(f"up after {served.up_s:.0f} s", flush=True)
            report = measure(served, args)
    text = json.dumps(report, indent=1)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
