"""Which adapter is better after a round: one made anew over all data, or the last one gone on with?

    python benchmarks/continue_or_restart.py --data xtb-mos2-4x4 --out DIR --seconds 60 --seeds 3

Plays the rounds of a campaign with labels that are known: a first adapter from a part of the
dataset, then rounds that each add labels, drawn near the target as a campaign's are. Both ways get
the same seconds a round. Compared is the loss per answer token on labels of neither, the quarter
nearest to the target.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from defects.datasets import Dataset, Record, resolve_dataset
from defects.rules import Rules
from training.bundled import resolve_base
from training.instructions import Instruction, InstructionSource, write_instructions
from training.manifest import AdapterResult
from training.spec import AdapterSpec, LoraHyperparameters, Resources


def instructions(
    records: Sequence[Record], prop: str, new: set[str], learnt: set[str], weight: float
) -> list[Instruction]:
    """Labels as a campaign weighs them."""
    return [
        Instruction(
            r.configuration,
            {prop: r.properties[prop]},
            weight if r.id in new else 1.0,
            learnt=r.id in learnt,
        )
        for r in records
    ]


def splits(
    records: Sequence[Record], prop: str, wanted: float, rounds: int, per_round: int, seed: int
) -> tuple[list[Record], list[list[Record]], list[Record]]:
    """First labels, those of each round (near the target), and held-out ones."""
    rng = np.random.default_rng(seed)
    order = [records[i] for i in rng.permutation(len(records))]
    held, rest = order[: len(order) // 5], order[len(order) // 5 :]
    rest.sort(key=lambda r: abs(r.properties[prop] - wanted))
    near, first = rest[: 3 * rounds * per_round], rest[3 * rounds * per_round :]
    drawn = rng.permutation(len(near))[: rounds * per_round].reshape(rounds, per_round)
    return first, [[near[i] for i in row] for row in drawn], held


def play(way: str, data: Dataset, options: argparse.Namespace, seed: int) -> list[dict]:
    """Train round after round in one way; the losses of each."""
    from training.lora import train_adapter

    prop = options.property
    records = [r for r in data.records if prop in r.properties and r.configuration.n_defects]
    names = sorted({n for r in records for n in r.configuration.counts()})
    sizes = [r.configuration.n_defects for r in records]
    rules = Rules(defects=tuple(names), min_defects=min(sizes), max_defects=max(sizes))
    first, added, held = splits(
        records, prop, options.wanted, options.rounds, options.per_round, seed
    )
    near = sorted(held, key=lambda r: abs(r.properties[prop] - options.wanted))[: len(held) // 4]
    known, fresh, found = list(first), [], []
    previous: AdapterResult | None = None
    for number in range(options.rounds + 1):
        root = options.out / f"{way}-{seed}"
        continued = way == "previous" and previous is not None
        new = {r.id for part in added[:number] for r in part}
        learnt = {r.id for r in known} - {r.id for r in fresh} if continued else set()
        path = root / f"r{number}.jsonl"
        rows = instructions(known, prop, new, learnt, options.new_weight)
        data_hash = write_instructions(path, data.host, rules, rows)
        held_path = root / "held-out.jsonl"
        held_rows = instructions(near, prop, set(), set(), 1.0)
        write_instructions(held_path, data.host, rules, held_rows)
        replay = options.replay if continued else None
        result = train_adapter(
            AdapterSpec(
                base=resolve_base(options.base),
                source=InstructionSource(str(path), "compact", (prop,), replay=replay),
                eval_source=InstructionSource(str(held_path), "compact", (prop,)),
                root=root,
                prefix=f"r{number:03d}",
                hyperparameters=LoraHyperparameters(
                    learning_rate=options.rate * (options.continue_rate if continued else 1.0),
                    epochs=10_000,
                    max_seconds=None if options.steps else options.seconds,
                    max_steps=options.steps,
                ),
                parent=previous.path if continued else None,
                seed=seed + number,
                data_hash=data_hash,
            ),
            Resources(threads=1),
        )
        previous = result
        row = {"way": way, "seed": seed, "round": number, **result.metrics}
        found.append({k: row[k] for k in ("way", "seed", "round", "steps", "eval_loss")})
        print(json.dumps(found[-1]), flush=True)
        if number < options.rounds:
            fresh = added[number]
            known += fresh
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="xtb-mos2-4x4")
    parser.add_argument("--base", default="small")
    parser.add_argument("--property", default="homo_lumo_gap")
    parser.add_argument("--wanted", type=float, default=0.75, help="centre of the target")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-round", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60, help="of each training")
    parser.add_argument("--steps", type=int, help="of each training instead: for busy machines")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--continue-rate", type=float, default=0.3)
    parser.add_argument("--replay", type=float, default=8.0)
    parser.add_argument("--new-weight", type=float, default=4.0)
    options = parser.parse_args()
    from training.lora import ray_running

    data = resolve_dataset(options.data)
    with ray_running():
        rows = [
            row
            for seed in range(options.first_seed, options.first_seed + options.seeds)
            for way in ("base", "previous")
            for row in play(way, data, options, seed)
        ]
    for number in range(1, options.rounds + 1):
        losses = {
            way: [r["eval_loss"] for r in rows if r["way"] == way and r["round"] == number]
            for way in ("base", "previous")
        }
        told = {k: f"{np.mean(v):.4f} ± {np.std(v):.4f}" for k, v in losses.items()}
        # Both ways of a seed saw the same labels: their difference is the measure.
        gain = np.subtract(losses["previous"], losses["base"])
        error = np.std(gain, ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
        print(
            f"round {number}: loss near the target {told}; previous less base "
            f"{np.mean(gain):+.4f} ± {error:.4f} (standard error over {len(gain)} seeds)"
        )


if __name__ == "__main__":
    main()
