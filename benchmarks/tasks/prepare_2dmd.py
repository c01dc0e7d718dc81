"""Targets of three rarities on 2DMD's low-density MoS2, with the DFT labels as oracle.

    python benchmarks/tasks/prepare_2dmd.py --data ../shared/2dmd/low_density_defects/MoS2

Writes `data/2dmd-table` (all labelled configurations of three defects: the oracle) and
`data/2dmd-known` (what a campaign knows at its start) beside this file, and the task files
`2dmd-*.yaml` with the windows that the labels give. Those are kept; the data are not.

All windows follow one rule, so that none is picked by hand: a gap of some value ± 0.05 eV, what a
campaign file asks for by default, where the wanted share of the labels lies; of several such places
the one whose edges are farthest from any label. So a rare target is rare by its place, not by its
width, and no error of a few meV decides what is a hit. (With windows of any width, the rarest sat
on the edge of a crowd of gaps, and whoever found a hit had been lucky in the last 5 meV.)
For two properties: the window that holds a fifth, and the upper bound of the formation energy per
site that leaves a twentieth. What is known at the start is drawn at random, but holds no hit of
the rare targets; hits of the common one it holds are no discovery and do not count.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from defects.datasets import Dataset, Record, read_dataset, write_dataset
from defects.targets import DEFAULT_TOLERANCE

HERE = Path(__file__).resolve().parent
GAP, ENERGY = "homo_lumo_gap", "formation_energy_per_site"
SHARES = {"10": 0.10, "1": 0.01, "0.1": 0.001}
#: Half of a window, eV: the default tolerance of a target.
WIDTH = DEFAULT_TOLERANCE

TASK = """\
# {title}
# Made by benchmarks/tasks/prepare_2dmd.py; {held}
name: 2dmd-{name}
seed: 1

host: {{name: MoS2, supercell: 8x8}}
rules: {{defects: [V_Mo, V_S, W_Mo, Se_S], min_defects: 3, max_defects: 3}}

targets:
{targets}

rounds: {rounds}
dataset: data/2dmd-known
base_model: small

generation: {{samples: {samples}, per_prompt: 4}}
adapter: {{learning_rate: 2.0e-3, epochs: 1000, max_steps: 200, batch_size: 16, dropout: 0}}
learn: {{near_weight: 10, distil: 300}}
surrogate: {{kind: trees, iterations: 200, min_labels: 20}}
selection: {{budget: {budget}}}
oracle: {{kind: table, settings: {{dataset: data/2dmd-table{properties}}}}}
serving: {{engine: {{max_model_len: 1024, kv_cache_gib: 0.5}}}}
"""


def clear_window(values: np.ndarray, share: float) -> tuple[float, float]:
    """Bounds of a value ± 0.05 eV that holds a share of the values, its edges far from any.

    Centres lie on 1 meV; the number inside may differ from the wanted one by a tenth, and is at
    least two.
    """
    v = np.sort(values)
    wanted = max(2.0, share * len(v))
    centres = np.arange(v[0] - WIDTH, v[-1] + WIDTH, 0.001).round(3)
    low, high = centres - WIDTH, centres + WIDTH
    held = np.searchsorted(v, high, "right") - np.searchsorted(v, low, "left")
    margin = np.minimum(np.abs(low[:, None] - v).min(axis=1), np.abs(high[:, None] - v).min(axis=1))
    off = np.abs(held - wanted)
    fits = (off <= max(0.1 * wanted, off.min())) & (held >= 2)
    best = int(np.where(fits, margin, -1.0).argmax())
    return round(float(low[best]), 4), round(float(high[best]), 4)


def inside(record: Record, window: tuple[float, float]) -> bool:
    """Whether a record's gap lies in a window."""
    return window[0] <= record.properties[GAP] <= window[1]


def prepare(data: Path, known: int, seed: int, out: Path = HERE) -> None:
    """Read the labels, choose the windows, write data and tasks."""
    whole = read_dataset(data)
    labelled = [r for r in whole.labelled(GAP) if r.configuration.n_defects == 3]
    gaps = np.array([r.properties[GAP] for r in labelled])
    windows = {name: clear_window(gaps, share) for name, share in SHARES.items()}
    both = [r for r in labelled if ENERGY in r.properties]
    pair = clear_window(np.array([r.properties[GAP] for r in both]), 0.2)
    energies = np.sort([r.properties[ENERGY] for r in both if inside(r, pair)])
    most = max(2, round(0.05 * len(both)))
    bound = round(float(energies[most - 1 : most + 1].mean()), 4)

    def rare(r: Record) -> bool:
        cheap = r.properties.get(ENERGY, np.inf) <= bound
        return inside(r, windows["1"]) or inside(r, windows["0.1"]) or (inside(r, pair) and cheap)

    others = [r for r in labelled if not rare(r)]
    rng = np.random.default_rng(seed)
    chosen = [others[i] for i in sorted(rng.choice(len(others), known, replace=False))]
    for name, records in (("known", chosen), ("table", labelled)):
        few = tuple(Record(r.id, r.configuration, dict(r.properties)) for r in records)
        write_dataset(
            Dataset(whole.host, few, whole.chemical_potentials, whole.pristine),
            out / "data" / f"2dmd-{name}",
        )
    keys = {r.configuration.key for r in chosen}
    left = [r for r in labelled if r.configuration.key not in keys]
    for name, window in windows.items():
        hits = sum(inside(r, window) for r in left)
        text = TASK.format(
            title=f"2DMD low-density MoS2, DFT labels: {hits / len(left):.2%} of the rest are hits",
            held=f"{hits} hits among {len(left)} labels beyond {known} known ones.",
            name=name,
            targets=f"  - {{property: {GAP}, min: {window[0]}, max: {window[1]}}}",
            rounds=3,
            samples=64,
            budget=8,
            properties="",
        )
        (out / f"2dmd-{name}.yaml").write_text(text)
    left = [r for r in both if r.configuration.key not in keys]
    hits = sum(inside(r, pair) and r.properties[ENERGY] <= bound for r in left)
    n_known = len(both) - len(left)
    text = TASK.format(
        title=f"2DMD low-density MoS2, two properties: {hits / len(left):.2%} of the rest are hits",
        held=f"{hits} hits among {len(left)} with both labels beyond {n_known} known ones.",
        name="two",
        targets=(
            f"  - {{property: {GAP}, min: {pair[0]}, max: {pair[1]}}}\n"
            f"  - {{property: {ENERGY}, max: {bound}}}"
        ),
        rounds=3,
        samples=12,
        budget=3,
        properties=f", properties: [{GAP}, {ENERGY}]",
    )
    (out / "2dmd-two.yaml").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--known", type=int, default=500, help="labels known at the start")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    prepare(arguments.data, arguments.known, arguments.seed)


if __name__ == "__main__":
    main()
