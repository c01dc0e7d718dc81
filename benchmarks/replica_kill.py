"""Replicas killed with SIGKILL while requests run: what of them is lost, and for how long.

    python benchmarks/replica_kill.py --out report.json

A real `design-loop serve` (vLLM, small model, two surrogate replicas, API keys) is asked for
designs, completions and predictions without a pause by clients that try again as
`design_loop.client` does. Under way are killed: the engine core, the replica around it, one
surrogate replica. Every request has to end well; the times say how long each kind of request got
no answer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from load import CONSTRAINT, PROMPT
from served import DEFECTS, TARGETS, Served

from defects.errors import ModelError
from design_loop.client import Client

KINDS = ("design", "complete", "predict")
VACANCY = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}


class Callers:
    """Threads that ask without a pause until they are stopped.

    Attributes
    ----------
    ended : list of (kind, began, ended)
        Requests that were answered, s on the monotonic clock.
    failed : list of str
        Those that were not, after all tries.
    """

    def __init__(self, served: Served, threads: int) -> None:
        self.served = served
        self.ended: list[tuple[str, float, float]] = []
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(KINDS[i % len(KINDS)], i), daemon=True)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, kind: str, number: int) -> None:
        with Client(self.served.url, api_key=self.served.keys[0], timeout_s=300) as client:
            seed = number
            while not self._stop.is_set():
                seed += len(self._threads)
                began = time.monotonic()
                try:
                    one_request(client, kind, seed)
                except ModelError as error:
                    self.failed.append(f"{kind}: {error}")
                else:
                    self.ended.append((kind, began, time.monotonic()))

    def stop(self) -> None:
        """Let every request under way end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, kinds: tuple[str, ...], after: float, most_s: float) -> float | None:
        """Seconds from `after` until each kind has had an answer to a request made since."""
        end = time.monotonic() + most_s
        while time.monotonic() < end:
            first = [
                min((e for k, b, e in list(self.ended) if k == kind and b > after), default=None)
                for kind in kinds
            ]
            if all(first):
                return max(first) - after
            time.sleep(0.2)
        return None


def one_request(client: Client, kind: str, seed: int) -> None:
    """A request whose answer is looked at."""
    if kind == "predict":
        assert len(client.predict([VACANCY]).mean) == 1
    elif kind == "complete":
        found = client.complete(
            [PROMPT] * 2, "base", n=4, max_tokens=64, seed=seed, constraints=[CONSTRAINT] * 2
        )
        assert [len(samples) for samples in found] == [4, 4]
    else:
        answer = client.design("MoS2", "4x4", DEFECTS, TARGETS, model="base", count=5, seed=seed)
        assert answer.samples == 40


def measure(served: Served, args: argparse.Namespace) -> dict[str, Any]:
    """Kill one after the other under load."""
    callers = Callers(served, args.threads)
    started = time.monotonic()
    if callers.wait_for(KINDS, started, 120) is None:
        raise RuntimeError(f"no answers before anything was killed: {callers.failed[:3]}")
    report: dict[str, Any] = {}
    for part, title, kinds in (
        ("engine", "engine core", KINDS),
        ("ServeReplica:design-loop-llm", "replica of the language model", KINDS),
        ("ServeReplica:design-loop-surrogate", "replica of the surrogate", KINDS),
    ):
        if args.only and part not in args.only:
            continue
        time.sleep(args.pause)
        victims = served.processes(part)
        if not victims:
            raise RuntimeError(f"no process {part!r} among those of the server")
        killed = time.monotonic()
        victims[0].kill()
        report[title] = {"pid": victims[0].pid, "answers_after_s": None}
        after = callers.wait_for(kinds, killed, 240)
        report[title]["answers_after_s"] = None if after is None else round(after, 1)
    time.sleep(args.pause)
    callers.stop()
    longest = {
        kind: round(max((e - b for k, b, e in callers.ended if k == kind), default=0.0), 1)
        for kind in KINDS
    }
    return {
        "killed": report,
        "answered": dict(Counter(kind for kind, _, _ in callers.ended)),
        "failed": callers.failed,
        "longest_s": longest,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=9)
    parser.add_argument("--pause", type=float, default=5, help="seconds of load around a kill")
    parser.add_argument("--only", nargs="+", help="parts of process titles; engine for the core")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="design-loop-kill-") as folder,
        Served(Path(folder), {"surrogate_replicas": 2}) as served,
    ):
        print(f"up after {served.up_s:.0f} s", flush=True)
        report = measure(served, args)
    text = json.dumps(report, indent=1)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
