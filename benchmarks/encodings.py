"""Structures per second of every encoding, from configurations, on one thread.

    OMP_NUM_THREADS=1 python benchmarks/encodings.py
    OMP_NUM_THREADS=1 python benchmarks/encodings.py --host hBN --defects V_B,V_N,C_B

Every run is preceded by one over other configurations, which fills what an encoder remembers (the
environments that SLICES has met). The last line compares the patched SLICES string with that of
pymatgen's bonds over the whole cell, and checks on those cells that the two are equal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

from defects.configuration import Configuration
from defects.encodings import SparseEncoder, sparse_graph
from defects.encodings.dscribe_features import new_encoder
from defects.encodings.slices import SlicesEncoder, slices_of_structure
from defects.errors import ModelError
from defects.hosts import Host, get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import to_structure


def random_ones(host: Host, rules: Rules, n: int, seed: int) -> list[Configuration]:
    """New objects on every call: what a configuration has computed of itself is not reused."""
    rng = np.random.default_rng(seed)
    return [random_configuration(host, rules, rng) for _ in range(n)]


def cpu_seconds(
    encode: Callable[[Sequence[Configuration]], object], some: Sequence[Configuration]
) -> float:
    started = time.process_time()
    encode(some)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--host", default="MoS2")
    parser.add_argument("--supercell", default="8x8")
    parser.add_argument("--defects", default="V_Mo,V_S,W_Mo,Se_S")
    parser.add_argument("--max-defects", type=int, default=3)
    parser.add_argument("--full", type=int, default=10, help="cells to encode without patching")
    args = parser.parse_args()

    host = get_host(args.host, args.supercell)
    defects = tuple(args.defects.split(","))
    rules = Rules(defects=defects, max_defects=args.max_defects)
    slices = SlicesEncoder(host)
    encoders: dict[str, tuple[Callable[[Sequence[Configuration]], object], int]] = {
        "canonical form": (lambda some: [c.canonical() for c in some], 4000),
        "sparse features": (SparseEncoder(host, defects).transform, 8000),
        "sparse graph": (lambda some: [sparse_graph(c) for c in some], 4000),
        "slices": (lambda some: [slices.encode(c) for c in some], 4000),
    }
    for name, n in (("soap", 500), ("coulomb", 200), ("sine", 200)):
        encoders[name] = (new_encoder(name, host, defects).transform, n)

    print(f"{host.key}, 1 to {rules.max_defects} defects, structures per CPU second")
    cold = cpu_seconds(encoders["slices"][0], random_ones(host, rules, 500, seed=9))
    print(f"{'slices, first 500':20} {500 / cold:8.0f}")
    rate = {}
    for name, (encode, n) in encoders.items():
        try:
            encode(random_ones(host, rules, n, seed=1))
        except ModelError as error:
            print(f"{name:20} {error}")
            continue
        rate[name] = n / cpu_seconds(encode, random_ones(host, rules, n, seed=2))
        print(f"{name:20} {rate[name]:8.0f}", flush=True)

    some = random_ones(host, rules, args.full, seed=3)
    whole: list[str] = []
    seconds = cpu_seconds(
        lambda cs: whole.extend(slices_of_structure(to_structure(c.canonical())) for c in cs), some
    )
    equal = sum(slices.encode(c) == w for c, w in zip(some, whole, strict=True))
    full = len(some) / seconds
    print(
        f"{'slices, whole cell':20} {full:8.1f}   patched is {rate['slices'] / full:.0f} times as "
        f"fast; {equal} of {len(some)} strings equal"
    )


if __name__ == "__main__":
    main()
