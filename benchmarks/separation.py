"""How many answers a separation rule costs, and what drawing under it takes.

    python benchmarks/separation.py [--number 400]

A grammar cannot say how far defects lie apart, so the parser drops what is too near. As a stand-in
for a model that has not learnt the rule: configurations of all other rules, drawn at random. Beside
it what a random proposer pays, which places defects where there is room. A minute.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from defects.errors import RuleError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration

KINDS = ("V_Mo", "V_S", "W_Mo", "Se_S")
CASES = [("4x4", 3), ("4x4", 6), ("8x8", 3), ("8x8", 6)]
SEPARATIONS = (3.0, 3.5, 5.0, 6.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=400)
    options = parser.parse_args()
    print("| host | defects | separation (Å) | answers that keep it | drawn under it (ms) |")
    print("|---|---|---|---|---|")
    for cell, n in CASES:
        host = get_host("MoS2", cell)
        free = Rules(defects=KINDS, min_defects=n, max_defects=n)
        for separation in SEPARATIONS:
            rules = free.model_copy(update={"min_separation": {"any": separation}})
            rng = np.random.default_rng(0)
            drawn = [random_configuration(host, free, rng) for _ in range(options.number)]
            kept = np.mean([rules.violation(c) is None for c in drawn])
            try:
                rules.validate_for(host)
                begun = time.process_time()
                for _ in range(options.number // 4):
                    random_configuration(host, rules, rng)
                cost = f"{(time.process_time() - begun) / (options.number // 4) * 1e3:.2f}"
            except RuleError as error:
                cost = f"- ({error})"
            print(f"| MoS2 {cell} | {n} | {separation:g} | {kept:.1%} | {cost} |", flush=True)


if __name__ == "__main__":
    main()
