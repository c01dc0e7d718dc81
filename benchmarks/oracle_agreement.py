"""Do the xTB oracle's labels agree with those of the shipped dataset?

    OMP_NUM_THREADS=1 python benchmarks/oracle_agreement.py [--number 24] [--json FILE]

Labels configurations of the shipped dataset anew and compares every property. The choice is
deterministic: as many of each number of defects, vacancies and substitutions of every kind among
them. 3-6 s per configuration on one core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path

import numpy as np

from defects.datasets import Record, bundled_dataset
from defects.oracles import make_oracle


def choose(records: tuple[Record, ...], number: int) -> list[Record]:
    """In turn one record of 1, 2, ... defects; within each the one with the rarest defects."""
    order = np.random.default_rng(0).permutation(len(records))
    by_size: dict[int, list[Record]] = {}
    for i in order:
        by_size.setdefault(records[i].configuration.n_defects, []).append(records[i])
    chosen: list[Record] = []
    seen: Counter[str] = Counter()
    while len(chosen) < min(number, len(records)):
        for size in sorted(by_size):
            if by_size[size] and len(chosen) < number:
                pool = by_size[size]
                rarest = min(pool, key=lambda r: sum(seen[d] for d in r.configuration.counts()))
                pool.remove(rarest)
                seen.update(rarest.configuration.counts())
                chosen.append(rarest)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=24)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    dataset = bundled_dataset("xtb-mos2-4x4")
    oracle = make_oracle("xtb")
    differences: dict[str, list[float]] = {name: [] for name in oracle.properties}
    seconds = []
    defects: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    for record in choose(dataset.records, options.number):
        start = time.perf_counter()
        labels = oracle.label(record.configuration)
        seconds.append(time.perf_counter() - start)
        for name, values in differences.items():
            values.append(abs(labels[name] - record.properties[name]))
        sizes[record.configuration.n_defects] += 1
        defects.update(record.configuration.counts())
        gap = labels["homo_lumo_gap"]
        print(f"{record.id}  {record.configuration.description:32} gap {gap:.4f} eV", flush=True)
    print(
        f"\n{len(seconds)} configurations, defects per configuration {dict(sorted(sizes.items()))}"
    )
    print(f"defects {dict(sorted(defects.items()))}; oracle version {oracle.version}")
    print(f"seconds per label: median {statistics.median(seconds):.1f}, max {max(seconds):.1f}\n")
    print("| property | max abs difference | mean abs difference | spread in the dataset |")
    print("|---|---|---|---|")
    figures = {}
    for name, values in differences.items():
        spread = float(np.std([r.properties[name] for r in dataset]))
        figures[name] = {"max": max(values), "mean": statistics.fmean(values), "std": spread}
        print(f"| {name} | {max(values):.1e} | {statistics.fmean(values):.1e} | {spread:.3g} |")
    if options.json:
        content = {"n": len(seconds), "differences": figures, "seconds": seconds}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
