"""One-shot accuracy of an adapter on 2DMD: how near is the DFT gap to the gap asked for?

    python benchmarks/one_shot.py split --data ../shared/2dmd/low_density_defects/MoS2 --out DIR
    design-loop adapter train --data DIR/train --base small --property homo_lumo_gap ... --out DIR/a
    design-loop generate --base small --adapter DIR/a/... --host MoS2 --supercell 8x8 \\
        --targets-from DIR/held_out.csv --num 1600 --out DIR/samples.jsonl
    python benchmarks/one_shot.py score --samples DIR/samples.jsonl --train DIR/train \\
        --data ../shared/2dmd/low_density_defects/MoS2

2DMD's low-density set is an enumeration, so that every valid answer can be looked up; only those
count whose gap is known and whose class was not trained on.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from defects.datasets import Dataset, Record, read_dataset, write_dataset

WITHIN = 0.020


def split(data: Path, out: Path, property_: str, held_out: float, seed: int) -> None:
    """Write a copy of a dataset in which a share of the labels of a property is withheld."""
    whole = read_dataset(data)
    labelled = [r for r in whole if property_ in r.properties]
    rng = np.random.default_rng(seed)
    held = set(rng.choice(len(labelled), int(held_out * len(labelled)), replace=False).tolist())
    records = tuple(
        Record(r.id, r.configuration, {property_: r.properties[property_]})
        for i, r in enumerate(labelled)
        if i not in held
    )
    train = Dataset(whole.host, records, whole.chemical_potentials, whole.pristine)
    write_dataset(train, out / "train")
    # Each of them once, in random order: asked for is what exists and was not trained on.
    asked = [labelled[i].properties[property_] for i in rng.permutation(sorted(held))]
    lines = [property_, *(f"{value:.3f}" for value in asked)]
    (out / "held_out.csv").write_text("\n".join(lines) + "\n")
    print(f"{len(records)} labels in {out / 'train'}, {len(held)} held out in held_out.csv")


def score(samples: Path, train: Path, data: Path, property_: str) -> None:
    """Print validity, novelty and the share of hits, beside that of random configurations."""
    table = {r.configuration.key: r.properties.get(property_) for r in read_dataset(data)}
    seen = {r.configuration.key for r in read_dataset(train)}
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    valid = [r for r in rows if r["ok"]]
    novel = [r for r in valid if r["key"] not in seen]
    known = [r for r in novel if table.get(r["key"]) is not None]
    found = np.array([table[r["key"]] for r in known])
    asked = np.array([r["asked"][property_] for r in known])
    error = np.abs(found - asked)
    held = np.array([v for k, v in table.items() if v is not None and k not in seen])
    rng = np.random.default_rng(0)
    random = np.abs(rng.choice(held, (200, len(asked))) - asked)
    print(f"samples {len(rows)}, valid {len(valid) / len(rows):.1%}")
    print(f"drops {dict(Counter(r['reason'] for r in rows if not r['ok']))}")
    print(f"novel {len(novel)}, with known DFT value {len(known)}")
    print(f"distinct classes among these {len({r['key'] for r in known})}")
    print(f"within {1000 * WITHIN:.0f} meV {np.mean(error <= WITHIN):.1%}")
    print(f"median error {1000 * np.median(error):.0f} meV, mean {1000 * error.mean():.0f} meV")
    print(f"random held-out configurations within: {np.mean(random <= WITHIN):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("split")
    one.add_argument("--data", type=Path, required=True)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--held-out", type=float, default=0.2)
    one.add_argument("--seed", type=int, default=0)
    two = commands.add_parser("score")
    two.add_argument("--samples", type=Path, required=True)
    two.add_argument("--train", type=Path, required=True)
    two.add_argument("--data", type=Path, required=True)
    for parsed in (one, two):
        parsed.add_argument("--property", dest="property_", default="homo_lumo_gap")
    arguments = vars(parser.parse_args())
    {"split": split, "score": score}[arguments.pop("command")](**arguments)


if __name__ == "__main__":
    main()
