"""Held-out error of the kinds that learn from placements: embeddings and the transformer.

    python benchmarks/learned_kinds.py --data ../shared/2dmd/low_density_defects/MoS2 \
        --property homo_lumo_gap --kind embedding --param regressor=ridge
    python benchmarks/learned_kinds.py --data ../shared/2dmd/low_density_defects/MoS2 \
        --property homo_lumo_gap --kind transformer --fold 0 --param epochs=5

Five folds grouped by canonical key; with ``--fold`` only that one is fitted (a transformer needs
minutes of a core for each).
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from defects.datasets import resolve_dataset
from defects.encodings.sparse import SparseEncoder
from defects.surrogates.encoded import Encoded
from training.surrogate_kinds import fit_kind
from training.surrogate_metrics import figures, grouped_folds
from training.surrogate_task import FitOptions, FitTask, settings_from


def one_fold(task: FitTask, fold: int, options: FitOptions) -> np.ndarray:
    """Predictions of the transformer for one fold, in the property's unit."""
    from defects.surrogates.transformer_model import read_images, torch_threads
    from training.surrogate_transformer import TransformerSettings, finetune, load_backbone

    settings = settings_from(TransformerSettings(), options.params)
    base, tokenizer = load_backbone(settings.base)
    train, test = np.flatnonzero(task.folds != fold), np.flatnonzero(task.folds == fold)
    shown = task.batch.configurations
    with torch_threads(options.threads):
        member = finetune(
            base, tokenizer, [shown[i] for i in train], task.z[fold][train], settings, options.seed
        )
        z = read_images([member], tokenizer, [shown[i] for i in test], settings.images)
    baseline = task.columns[test] @ task.coefficients[fold]
    return (baseline + task.scale * z) / task.divisor[test]


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--property", required=True)
    parser.add_argument("--kind", choices=("embedding", "transformer"), required=True)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    dataset = resolve_dataset(arguments.data)
    records = [r for r in dataset if arguments.property in r.properties]
    configurations = [r.configuration for r in records]
    values = np.array([r.properties[arguments.property] for r in records])
    kinds = sorted({name for c in configurations for name in c.counts()})
    encoder = SparseEncoder(dataset.host, kinds, max(c.n_defects for c in configurations))
    folds = grouped_folds([c.key for c in configurations], 5, seed=1)
    task = FitTask(arguments.property, Encoded(configurations, encoder), values, folds)
    params = dict(_parameter(text) for text in arguments.param)
    options = FitOptions(5, arguments.iterations, 0, arguments.threads, params=params)
    started, cpu = time.perf_counter(), time.process_time()
    report: dict[str, Any] = {}
    if arguments.fold is not None and arguments.kind == "transformer":
        mean = one_fold(task, arguments.fold, options)
        truth = values[folds == arguments.fold]
    else:
        fit = fit_kind(arguments.kind, task, options)
        mean, truth, report = task.held_out_mean(fit), values, dict(fit.report)
    print(
        json.dumps(
            {
                "kind": arguments.kind,
                "params": params,
                "fold": arguments.fold,
                "labels": len(truth),
                **figures(truth, mean),
                **report,
                "cpu_seconds": round(time.process_time() - cpu, 1),
                "wall_seconds": round(time.perf_counter() - started, 1),
            }
        ),
        flush=True,
    )


def _parameter(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    main()
