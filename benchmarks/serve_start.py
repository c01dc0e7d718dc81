"""From `design-loop serve` to the first candidate, and what runs then.

    python benchmarks/serve_start.py --repeats 3

The server has the small model, a surrogate and API keys. Counted are the seconds from the start of
the command to its address, and to the answer of a first design with at least one candidate; and
the processes with their resident memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil
from served import Served, made_up_surrogate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", action="store_true", help="list them")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="design-loop-start-") as folder:
        made_up_surrogate(Path(folder) / "surrogate")
        for _ in range(args.repeats):
            with Served(Path(folder)) as served:
                reply = served.design()
                reply.raise_for_status()
                if not reply.json()["candidates"]:
                    raise RuntimeError(f"no candidate among the samples: {reply.json()['drops']}")
                first = time.monotonic() - served.began
                rows = [row for p in served.family() if (row := _row(p))]
            total = sum(size for size, _ in rows)
            print(
                f"address after {served.up_s:.1f} s, first candidate after {first:.1f} s; "
                f"{len(rows)} processes, {total:.1f} GiB",
                flush=True,
            )
            if args.processes:
                for size, line in sorted(rows, reverse=True):
                    print(f"  {size:5.2f} GiB  {line}")


def _row(process: psutil.Process) -> tuple[float, str] | None:
    try:
        line = " ".join(process.cmdline()) or process.name()
        return process.memory_info().rss / 2**30, line[:100]
    except psutil.Error:
        return None


if __name__ == "__main__":
    main()
