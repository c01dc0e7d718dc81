"""Step 6 of a round, and the preparation: refit the surrogate, fine-tune the next adapter."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from defects.configuration import Configuration
from defects.errors import DatasetError
from design_loop.campaign.context import Context
from design_loop.ledger import Adapter, Source, Surrogate
from design_loop.ledger.steps import StepRun


def prepare(context: Context, number: int, run: StepRun) -> None:
    """Round 0: the first surrogate and the first adapter, from the dataset alone."""
    learn(context, number, run)


def learn(context: Context, number: int, run: StepRun) -> None:
    """What was verified becomes new instructions; surrogate and adapter are made anew from all.

    Every verified candidate enters with the properties that it really has (hindsight relabelling):
    a miss for these targets is a perfect example for others.
    """
    refit_surrogate(context, number, run)
    proposer = context.config.proposer
    if proposer.needs_model and (number == 0 or proposer.feedback):
        train_next_adapter(context, number, run)


def refit_surrogate(context: Context, number: int, run: StepRun) -> None:
    """Fit the surrogate to all labels and take it into service."""
    from training.surrogate import fit_surrogate
    from training.surrogate_task import helping

    settings = context.config.surrogate
    labelled = _labelled(context)
    values = {
        name: np.array([row.get(name, np.nan) for _, row, _ in labelled])
        for name in context.config.surrogate_properties
    }
    # A gap, where the dataset has more of them than levels, helps to learn the levels.
    related = {
        name: np.array([row.get(name, np.nan) for _, row, _ in labelled])
        for name in helping(values, {p for _, row, _ in labelled for p in row})
    }
    for name, column in values.items():
        found = int(np.isfinite(column).sum())
        if found < settings.min_labels:
            raise DatasetError(
                f"{context.config.dataset} and this campaign have {found} labels of {name}, "
                f"surrogate.min_labels asks for {settings.min_labels}: label more "
                "(`design-loop data label`) or lower it"
            )
    folder = context.folder / "surrogates" / f"r{number:03d}"
    _drop_unrecorded(folder)
    context.progress.message("info", f"fitting the surrogate to {len(labelled)} labels")
    manifest = fit_surrogate(
        [configuration for configuration, _, _ in labelled],
        values,
        context.host,
        folder,
        rules=context.config.rules,
        seed=context.config.seed,
        model=settings.kind,
        iterations=settings.iterations,
        budget_s=settings.max_seconds,
        related=related,
    )
    version = context.services.use_surrogate(folder)
    run.add_surrogate(Surrogate(version, str(folder), manifest))
    run.info["labels"] = len(labelled)
    run.info["surrogate"] = version
    run.info["surrogate_seconds"] = manifest["fit_seconds"]
    run.info["surrogate_mae"] = {
        name: entry["metrics"]["mae"] for name, entry in manifest["properties"].items()
    }


def train_next_adapter(context: Context, number: int, run: StepRun) -> None:
    """Fine-tune the adapter of the next round with Ray Train and publish it under a new name."""
    from training.bundled import resolve_base
    from training.instructions import Instruction, InstructionSource, write_instructions
    from training.spec import AdapterSpec, LoraHyperparameters, Resources

    config, settings = context.config, context.config.adapter
    path = context.folder / "instructions" / f"r{number:03d}.jsonl"
    properties = tuple(t.property for t in config.targets)
    items = [
        Instruction(
            configuration,
            {p: row[p] for p in properties if p in row},
            float(settings.new_data_weight) if new else 1.0,
        )
        for configuration, row, new in _labelled(context, unverified=config.learn.use_unverified)
    ]
    data_hash = write_instructions(path, context.host, config.rules, items)
    context.progress.message("info", f"fine-tuning the adapter on {len(items)} instructions")
    resources = config.resources
    result = context.services.fine_tune(
        AdapterSpec(
            base=resolve_base(config.base_model),
            source=InstructionSource(str(path), config.generation.format, properties),
            root=context.folder / "adapters",
            prefix=f"r{number + 1:03d}",
            hyperparameters=LoraHyperparameters(
                rank=settings.rank,
                alpha=settings.alpha,
                dropout=settings.dropout,
                learning_rate=settings.learning_rate,
                schedule=settings.schedule,
                warmup=settings.warmup,
                epochs=settings.epochs,
                max_steps=settings.max_steps,
                max_seconds=settings.max_seconds,
                batch_size=settings.batch_size,
            ),
            seed=config.seed + number,
            data_hash=data_hash,
            facts={
                "campaign": context.id,
                "round": number,
                "instruction_format": config.generation.format,
                "properties": list(properties),
                "host": context.host.key,
                "rules": config.rules.model_dump(mode="json"),
                "n_instructions": len(items),
                "n_verified": sum(i.weight != 1.0 for i in items),
            },
        ),
        Resources(
            workers=resources.train_workers, cpus=resources.train_cpus, gpus=resources.train_gpus
        ),
        on_progress=lambda told: context.progress.step_advanced(round(100 * told["progress"]), 100),
    )
    run.add_adapter(Adapter(result.name, str(result.path), result.manifest))
    run.info["adapter"] = result.name
    run.info["loss"] = result.metrics.get("train_loss")


def _labelled(
    context: Context, *, unverified: bool = False
) -> Sequence[tuple[Configuration, dict[str, float], bool]]:
    """Everything with a label: configuration, properties, and whether this campaign verified it."""
    rows = [(r.configuration, dict(r.properties), False) for r in context.dataset if r.properties]
    known = {c.key for c, _, _ in rows}
    sources = [Source.ORACLE]
    if unverified or context.config.oracle.kind == "none":
        sources.append(Source.SURROGATE)
    for source in sources:
        for label in context.ledger.labels(context.id, source):
            configuration = context.configuration(label.configuration)
            if configuration.key not in known:
                known.add(configuration.key)
                rows.append((configuration, dict(label.properties), True))
    return rows


def _drop_unrecorded(folder: Path) -> None:
    """Remove what a killed run of this step left: in no ledger, and fitted anew in seconds."""
    if folder.exists():
        shutil.rmtree(folder)
