"""Step 6 of a round, and the preparation: refit the surrogate, fine-tune the next adapter."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from defects.configuration import Configuration
from defects.errors import DatasetError
from defects.targets import DEFAULT_TOLERANCE
from design_loop.adaptation.watch import restarts, softened
from design_loop.adapters import hyperparameters_of, resources_of
from design_loop.campaign.context import Context
from design_loop.campaign.distil import distilled
from design_loop.campaign.inherit import take_adapter, take_surrogate
from design_loop.campaign.taught import Taught, instructions_path
from design_loop.config import CampaignConfig
from design_loop.ledger import Adapter, Source, Surrogate
from design_loop.ledger.steps import StepRun


def prepare(context: Context, number: int, run: StepRun) -> None:
    """Round 0: the first surrogate and the first adapter, from what is known; or a parent's."""
    lineage = context.ledger.lineage(context.id)
    if lineage is None or not take_surrogate(context, lineage, run):
        refit_surrogate(context, number, run)
    if context.config.proposer.needs_model and (
        lineage is None or not take_adapter(context, lineage, run)
    ):
        train_next_adapter(context, number, run)


def learn(context: Context, number: int, run: StepRun) -> None:
    """What was verified becomes new instructions; surrogate and adapter are made anew from all.

    Every verified candidate enters with the properties that it really has (hindsight relabelling):
    a miss for these targets is a perfect example for others.
    """
    if number == context.config.rounds and not context.config.learn.last_round:
        return
    refit_surrogate(context, number, run)
    proposer = context.config.proposer
    if proposer.needs_model and proposer.feedback:
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
        folds=settings.folds,
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
    from training.spec import AdapterSpec

    config = context.config
    path = instructions_path(context, number)
    properties = tuple(t.property for t in config.targets)
    anew = restarts(context, number)
    previous = None if anew else _previous(context, number)
    learnt = _learnt(context, number) if previous else frozenset()
    rows = _labelled(context, unverified=config.learn.use_unverified)
    items = [
        Instruction(
            configuration,
            {p: row[p] for p in properties if p in row},
            softened(weight) if anew and source is not None else weight,
            learnt=configuration.key in learnt,
        )
        for configuration, row, source in rows
        for weight in (sample_weight(config, row, source),)
    ]
    taught = distilled(context, number, {c.key for c, _, _ in rows})
    before = None
    if previous and taught:
        before = Taught(instructions_path(context, previous.round), config.targets)
    items += [
        Instruction(
            configuration,
            {p: row[p] for p in properties if p in row},
            sample_weight(config, row, Source.SURROGATE),
            learnt=before is not None and before.holds(configuration, row),
        )
        for configuration, row in taught
    ]
    data_hash = write_instructions(path, context.host, config.rules, items)
    context.progress.message("info", f"fine-tuning the adapter on {len(items)} instructions")
    replay = config.learn.replay if previous else None
    result = context.services.fine_tune(
        AdapterSpec(
            base=resolve_base(config.base_model),
            source=InstructionSource(
                str(path),
                config.generation.format,
                properties,
                replay=replay,
                own=config.own_properties,
            ),
            root=context.folder / "adapters",
            prefix=f"r{number + 1:03d}",
            hyperparameters=hyperparameters_of(config, continued=previous is not None),
            parent=Path(previous.path) if previous else None,
            seed=config.seed + number,
            data_hash=data_hash,
            facts={
                "campaign": context.id,
                "round": number,
                "instruction_format": config.generation.format,
                "properties": list(properties),
                "own_properties": {
                    name: {"unit": p.unit, "decimals": p.decimals}
                    for name, p in config.own_properties.items()
                },
                "host": context.host.key,
                "rules": config.rules.model_dump(mode="json"),
                "n_instructions": len(items),
                "n_distilled": len(taught),
                "n_verified": sum(source is context.teacher for _, _, source in rows),
            },
        ),
        resources_of(config),
        on_progress=lambda told: context.progress.step_advanced(round(100 * told["progress"]), 100),
    )
    run.add_adapter(Adapter(result.name, str(result.path), result.manifest))
    run.info["adapter"] = result.name
    run.info["restarted"] = anew
    run.info["distilled"] = len(taught)
    run.info["loss"] = result.metrics.get("train_loss")


def sample_weight(config: CampaignConfig, row: Mapping[str, float], source: Source | None) -> float:
    """How much an instruction counts: by who vouches for it, and by its distance to the targets.

    Parameters
    ----------
    row : mapping
        Its properties, in their units.
    source : Source or None
        Oracle, surrogate, or None for the dataset.

    Returns
    -------
    float
        1 for the dataset, ``adapter.new_data_weight`` verified, ``learn.unverified_weight`` with
        surrogate values; times up to ``learn.near_weight`` where all targets are met, falling off
        as a normal distribution with the distance in units of the targets' widths.
    """
    if source is None:
        weight = 1.0
    elif source is Source.SURROGATE:
        weight = float(config.learn.unverified_weight)
    else:
        weight = float(config.adapter.new_data_weight)
    if config.learn.near_weight == 1:
        return weight
    distance = 0.0
    for target in config.targets:
        if target.property not in row:
            return weight  # nothing is known about how near it is
        if target.goal is None:
            low, high = target.bounds()
            width = (high - low) / 2 if math.isfinite(high - low) else DEFAULT_TOLERANCE
            value = row[target.property]
            outside = max(low - value, value - high, 0.0)
            distance += (outside / max(width, DEFAULT_TOLERANCE)) ** 2
    return weight * (1 + (config.learn.near_weight - 1) * math.exp(-distance / 2))


def _previous(context: Context, number: int) -> Adapter | None:
    """Adapter that the next one goes on from, if it is to and there is one."""
    if context.config.learn.start_from == "base":
        return None
    before = [a for a in context.ledger.adapters(context.id) if a.round < number]
    return before[-1] if before else None


def _learnt(context: Context, number: int) -> frozenset[str]:
    """Keys of what the previous round's adapter was trained on."""
    known = {r.configuration.key for r in context.dataset if r.properties}
    for step in range(number):
        for source in _sources(context, context.config.learn.use_unverified):
            for label in context.ledger.labels(context.id, source, step):
                known.add(context.configuration(label.configuration).key)
    return frozenset(known)


def _labelled(
    context: Context, *, unverified: bool = False
) -> Sequence[tuple[Configuration, dict[str, float], Source | None]]:
    """Everything with a label: configuration, properties, and whose they are (None: dataset)."""
    rows: list[tuple[Configuration, dict[str, float], Source | None]] = [
        (r.configuration, dict(r.properties), None) for r in context.dataset if r.properties
    ]
    known = {c.key for c, _, _ in rows}
    for source in _sources(context, unverified):
        for label in context.labels(source):
            configuration = context.configuration(label.configuration)
            if configuration.key not in known:
                known.add(configuration.key)
                rows.append((configuration, dict(label.properties), source))
    return rows


def _sources(context: Context, unverified: bool) -> list[Source]:
    """Whose labels are learnt from."""
    if unverified or context.config.oracle.kind == "none":
        return [context.teacher, Source.SURROGATE]
    return [context.teacher]


def _drop_unrecorded(folder: Path) -> None:
    """Remove what a killed run of this step left: in no ledger, and fitted anew in seconds."""
    if folder.exists():
        shutil.rmtree(folder)
