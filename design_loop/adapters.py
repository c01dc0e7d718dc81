"""An adapter from a labelled dataset, outside of a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from defects.datasets import Record, resolve_dataset
from defects.errors import DatasetError, ModelError
from defects.rules import Rules

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.config.sections import AdapterConfig, ResourcesConfig
    from training.spec import AdapterSpec, LoraHyperparameters, Resources

#: Learning rate of the small model, which takes, and needs, more than the published one.
SMALL_RATE = 2e-3


def dataset_spec(
    data: str,
    base: str,
    properties: Sequence[str],
    fmt: str,
    out: str | Path,
    hyperparameters: LoraHyperparameters,
    *,
    held_out: int = 64,
    seed: int = 0,
) -> AdapterSpec:
    """Write the instructions of a dataset and say how an adapter is trained from them.

    The rules of its requests are the dataset's own: the defects that occur in it, and how few and
    how many there are.

    Parameters
    ----------
    data : str
        Dataset folder, or the name of a shipped one.
    base : str
        Base model: folder, ``small`` or Hugging Face name.
    properties : sequence of str
        What requests may ask for.
    fmt : str
        ``compact`` or ``full``.
    out : path
        Gets the instructions now, and the adapter as ``adapter-<hash>`` when it is trained.
    hyperparameters : LoraHyperparameters
    held_out : int
        Configurations kept out of the training to watch its loss.
    seed : int

    Returns
    -------
    AdapterSpec
        For `training.lora.train_adapter`.

    Raises
    ------
    DatasetError
        When the dataset cannot be read or lacks a property.
    ModelError
        When the base is missing.
    """
    from training.bundled import resolve_base
    from training.instructions import Instruction, InstructionSource, write_instructions
    from training.spec import AdapterSpec

    source = resolve_base(base)
    dataset = resolve_dataset(data)
    records = _labelled(data, dataset.records, dataset.properties, properties)
    rules = _rules(records)
    root = Path(out)
    root.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(records))
    held_out = min(held_out, len(records) // 10)
    parts = {"train": order[held_out:]}
    if held_out:
        parts["held-out"] = order[:held_out]
    hashes, sources = {}, {}
    for name, chosen in parts.items():
        path = root / f"instructions-{fmt}-{name}.jsonl"
        items = [
            Instruction(
                records[i].configuration,
                {p: records[i].properties[p] for p in properties if p in records[i].properties},
            )
            for i in sorted(chosen)
        ]
        hashes[name] = write_instructions(path, dataset.host, rules, items)
        sources[name] = InstructionSource(str(path.absolute()), fmt, tuple(properties))
    return AdapterSpec(
        base=source,
        source=sources["train"],
        eval_source=sources["held-out"] if held_out else None,
        root=root,
        hyperparameters=hyperparameters,
        seed=seed,
        data_hash=hashes["train"],
        facts={
            "instruction_format": fmt,
            "properties": list(properties),
            "host": dataset.host.key,
            "rules": rules.model_dump(mode="json"),
            "dataset": data,
            "n_instructions": len(parts["train"]),
        },
    )


def hyperparameters_of(config: CampaignConfig, *, continued: bool = False) -> LoraHyperparameters:
    """What a campaign file says about fine-tuning.

    Parameters
    ----------
    continued : bool
        On from the previous round's adapter, at ``learn.continue_rate`` of the rate.
    """
    share = config.learn.continue_rate if continued else 1.0
    return lora_of(config.adapter, share)


def lora_of(section: AdapterConfig, rate_share: float = 1.0) -> LoraHyperparameters:
    """What the section ``adapter`` of a campaign file says, at a share of its learning rate."""
    from training.spec import LoraHyperparameters

    a = section
    return LoraHyperparameters(
        rank=a.rank,
        alpha=a.alpha,
        dropout=a.dropout,
        target_modules=a.target_modules,
        learning_rate=a.learning_rate * rate_share,
        schedule=a.schedule,
        warmup=a.warmup,
        epochs=a.epochs,
        max_steps=a.max_steps,
        max_seconds=a.max_seconds,
        batch_size=a.batch_size,
        micro_tokens=a.micro_tokens,
        bf16=a.bf16,
        gradient_checkpointing=a.gradient_checkpointing,
        max_length=a.max_length,
        length_pool=a.length_pool,
        quantization=a.quantization,
    )


def resources_of(config: CampaignConfig) -> Resources:
    """What a campaign file gives to the training workers."""
    return training_resources(config.resources)


def training_resources(section: ResourcesConfig) -> Resources:
    """What the section ``resources`` of a campaign file gives to the training workers."""
    from training.spec import Resources

    return Resources(
        workers=section.train_workers,
        cpus=section.train_cpus,
        gpus=section.train_gpus,
        max_failures=section.train_max_failures,
        checkpoint_seconds=section.train_checkpoint_seconds,
        sharding=section.train_sharding,
        storage=section.train_storage,
    )


def finished_adapter(path: str | Path) -> Path:
    """The adapter folder itself, or the one adapter that a folder of `adapter train` holds.

    Raises
    ------
    ModelError
        When there is none, or several to choose from.
    """
    path = Path(path)
    if (path / "manifest.json").is_file():
        return path
    inside = sorted(p.parent for p in path.glob("*/manifest.json") if p.parent.name[0] != ".")
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join(map(str, inside))
        raise ModelError(f"{path} holds {len(inside)} adapters; name one: {names}")
    raise ModelError(
        f"no finished adapter in {path}; make one with `design-loop adapter train --out {path}`"
    )


def _labelled(
    data: str, records: Sequence[Record], known: Sequence[str], properties: Sequence[str]
) -> list[Record]:
    missing = [p for p in properties if p not in known]
    if missing:
        raise DatasetError(
            f"{data} has no labels of {', '.join(missing)}; it has {', '.join(known) or 'none'}"
        )
    return [
        r
        for r in records
        if r.configuration.n_defects and any(p in r.properties for p in properties)
    ]


def _rules(records: Sequence[Record]) -> Rules:
    """What occurs: the defects, and the fewest and most of them."""
    names = sorted({name for r in records for name in r.configuration.counts()})
    sizes = [r.configuration.n_defects for r in records]
    return Rules(defects=tuple(names), min_defects=min(sizes), max_defects=max(sizes))
