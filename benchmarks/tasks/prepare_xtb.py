"""Targets of three rarities on MoS2 4×4 with three to six defects, with GFN1-xTB as oracle.

    python benchmarks/tasks/prepare_xtb.py

Writes the task files `xtb-*.yaml` beside this file. The shipped labels are too few to say what one
configuration in a thousand has, so a surrogate is fitted to them and asked for random
configurations of the rules; the windows follow the rule of `prepare_2dmd.py` on its predictions.
For two properties: the gap window that holds a fifth, and the bound of the formation energy per
site that leaves one in a hundred. What share really meets a target is only as sure as the
surrogate.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from prepare_2dmd import ENERGY, GAP, HERE, SHARES, clear_window

from defects.datasets import resolve_dataset
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates import load_surrogate
from training.surrogate import train_from_dataset

DATA = "xtb-mos2-4x4"
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), min_defects=3, max_defects=6)

TASK = """\
# MoS2 4x4, GFN1-xTB: about {share} of random configurations meet it, says the surrogate.
# Made by benchmarks/tasks/prepare_xtb.py from {n} random configurations.
name: xtb-{name}
seed: 1

host: {{name: MoS2, supercell: 4x4}}
rules: {{defects: [V_Mo, V_S, W_Mo, Se_S], min_defects: 3, max_defects: 6}}

targets:
{targets}

rounds: 3
dataset: xtb-mos2-4x4
base_model: small

generation: {{samples: 192, per_prompt: 4}}
adapter: {{learning_rate: 2.0e-3, epochs: 1000, max_steps: 200, batch_size: 16, dropout: 0}}
learn: {{near_weight: 10, distil: 300}}
surrogate: {{iterations: 300}}
selection: {{budget: 12}}
oracle: {{kind: xtb, timeout_s: 300}}
serving: {{engine: {{max_model_len: 1024, kv_cache_gib: 0.5}}}}
"""


def prepare(n: int, seed: int, out: Path = HERE) -> None:
    """Fit, predict, choose the windows, write the tasks."""
    host = resolve_dataset(DATA).host
    rng = np.random.default_rng(seed)
    drawn = [random_configuration(host, RULES, rng) for _ in range(n)]
    with tempfile.TemporaryDirectory() as folder:
        train_from_dataset(DATA, [GAP, ENERGY], Path(folder) / "s", rules=RULES, seed=seed)
        found = load_surrogate(Path(folder) / "s").predict(drawn)
    values = {name: found.mean[:, found.properties.index(name)] for name in (GAP, ENERGY)}

    def write(name: str, met: np.ndarray, targets: str) -> None:
        text = TASK.format(share=f"{met.mean():.2%}", n=n, name=name, targets=targets)
        (out / f"xtb-{name}.yaml").write_text(text)

    for name, share in SHARES.items():
        low, high = clear_window(values[GAP], share)
        met = (values[GAP] >= low) & (values[GAP] <= high)
        write(name, met, f"  - {{property: {GAP}, min: {low}, max: {high}}}")
    low, high = clear_window(values[GAP], 0.2)
    inside = (values[GAP] >= low) & (values[GAP] <= high)
    bound = round(float(np.sort(values[ENERGY][inside])[round(0.01 * n)]), 4)
    write(
        "two",
        inside & (values[ENERGY] <= bound),
        f"  - {{property: {GAP}, min: {low}, max: {high}}}\n"
        f"  - {{property: {ENERGY}, max: {bound}}}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--n", type=int, default=10_000, help="random configurations")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    prepare(arguments.n, arguments.seed)


if __name__ == "__main__":
    main()
