"""Held-out error, coverage and speed of surrogates on a dataset.

    python benchmarks/surrogate.py --data xtb-mos2-4x4 --property homo_lumo_gap
    python benchmarks/surrogate.py --data ../shared/2dmd/low_density_defects/MoS2 \
        --property homo_lumo_gap --property formation_energy_per_site --out surrogate.json

The figures are those of whole surrogate folders: for each of five folds, grouped by canonical key,
a surrogate is fitted to the other four as ``surrogate train`` does (with its own cross-validation,
choice of model and calibration inside), saved, loaded, and asked for the fold.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.datasets import resolve_dataset
from defects.datasets.dataset import Dataset
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates import FittedSurrogate, load_surrogate
from training.surrogate import fit_surrogate
from training.surrogate_metrics import figures, grouped_folds
from training.surrogate_task import RELATED


def cross_validate(
    dataset: Dataset, name: str, folder: Path, fold_seed: int = 1, **settings: Any
) -> tuple[dict[str, Any], FittedSurrogate]:
    """Figures of one property over five outer folds, and the last fold's surrogate."""
    records = [r for r in dataset if r.properties]
    configurations = [r.configuration for r in records]
    truth = np.array([r.properties.get(name, np.nan) for r in records])
    help_name = RELATED.get(name, ("", 0.0))[0]
    helping = np.array([r.properties.get(help_name, np.nan) for r in records])
    known = ~np.isnan(truth)
    # Configurations without a label of this property are never tested; they stay to learn from.
    folds = np.full(len(truth), -1)
    keys = [c.key for c, here in zip(configurations, known, strict=True) if here]
    folds[known] = grouped_folds(keys, 5, seed=fold_seed)
    mean, std = np.empty_like(truth), np.empty_like(truth)
    kinds, wall, cpu = [], 0.0, 0.0
    for k in range(5):
        # Labels of the related property are held back with those of the fold.
        train, test = np.flatnonzero(folds != k), np.flatnonzero(folds == k)
        started = time.perf_counter(), time.process_time()
        out = folder / f"{name}-{fold_seed}-{k}"
        manifest = fit_surrogate(
            [configurations[i] for i in train],
            {name: truth[train]},
            dataset.host,
            out,
            related={help_name: helping[train]} if help_name in dataset.properties else None,
            **settings,
        )
        wall += time.perf_counter() - started[0]
        cpu += time.process_time() - started[1]
        kinds.append(manifest["properties"][name]["model"])
        surrogate = load_surrogate(out)
        found = surrogate.predict([configurations[i] for i in test])
        mean[test], std[test] = found.mean[:, 0], found.std[:, 0]
    return {
        "property": name,
        "labels": int(known.sum()),
        "models": kinds,
        **figures(truth[known], mean[known], std[known]),
        "fit_wall_s": wall / 5,
        "fit_cpu_s": cpu / 5,
    }, surrogate


def speed(surrogate: FittedSurrogate, n: int = 10_000) -> dict[str, float]:
    """Structures per second on one thread, from configurations, features included."""
    rules = Rules(
        defects=surrogate.encoder.defects,
        min_defects=1,
        max_defects=surrogate.manifest["domain"]["max_defects"],
    )
    rng = np.random.default_rng(0)
    some: list[Configuration] = [random_configuration(surrogate.host, rules, rng) for _ in range(n)]
    surrogate.predict(some[:16])
    started = time.perf_counter(), time.process_time()
    surrogate.predict(some)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    return {"structures_per_s": n / wall, "structures_per_cpu_s": n / cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", required=True, help="dataset folder or name of a shipped one")
    parser.add_argument("--property", action="append", required=True, dest="properties")
    parser.add_argument("--model", default="auto", help="auto, or a kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold-seed", type=int, action="append", help="of the outer folds; 1")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()

    dataset = resolve_dataset(args.data)
    rows = []
    print(f"{'property':28} labels  MAE meV  RMSE    R2      <20 meV  cov90  width  fit s  1/s")
    with tempfile.TemporaryDirectory() as folder:
        for name, fold_seed in product(args.properties, args.fold_seed or [1]):
            row, surrogate = cross_validate(
                dataset,
                name,
                Path(folder),
                fold_seed,
                model=args.model,
                seed=args.seed,
                threads=args.threads,
            )
            row.update(speed(surrogate))
            rows.append(row)
            print(
                f"{name:28} {row['labels']:6} {1e3 * row['mae']:8.2f} {1e3 * row['rmse']:6.1f} "
                f"{row['r2']:7.4f} {row['within_20_mev']:8.3f} {row['coverage_90']:6.3f} "
                f"{1e3 * row['width_90']:6.0f} {row['fit_cpu_s']:6.1f} "
                f"{row['structures_per_cpu_s']:6.0f}  {'/'.join(sorted(set(row['models'])))}",
                flush=True,
            )
    if args.out:
        args.out.write_text(json.dumps({"data": args.data, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
