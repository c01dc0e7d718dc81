"""What a fork begins with: its parent's labels as known data, and its models if they were kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from defects.configuration import Configuration
from defects.datasets import Dataset
from defects.datasets.dataset import Record
from defects.errors import ModelError
from design_loop.campaign.context import Context
from design_loop.ledger import Adapter, Inherited, Lineage, Surrogate
from design_loop.ledger.steps import StepRun


def with_inherited(dataset: Dataset, inherited: Sequence[Inherited]) -> Dataset:
    """The dataset and, behind it, the labels that a fork took over.

    What the dataset has labelled itself stays as it is there.
    """
    known = {r.configuration.key for r in dataset if r.properties}
    records = [
        Record(
            label.candidate,
            Configuration.from_dict(label.configuration, dataset.host),
            dict(label.properties),
        )
        for label in inherited
        if label.candidate not in known
    ]
    return replace(dataset, records=(*dataset.records, *records)) if records else dataset


def take_surrogate(context: Context, lineage: Lineage, run: StepRun) -> bool:
    """Begin with the parent's surrogate, if the fork was made so."""
    if lineage.surrogate is None:
        return False
    made = next(
        s for s in context.ledger.surrogates(lineage.parent) if s.version == lineage.surrogate
    )
    folder = _copied(Path(made.path), context.folder / "surrogates" / "r000")
    version = context.services.use_surrogate(folder)
    run.add_surrogate(Surrogate(version, str(folder), made.manifest))
    run.info["surrogate"] = version
    return True


def take_adapter(context: Context, lineage: Lineage, run: StepRun) -> bool:
    """Begin with the parent's adapter, if the fork was made so."""
    if lineage.adapter is None:
        return False
    made = next(a for a in context.ledger.adapters(lineage.parent) if a.name == lineage.adapter)
    folder = _copied(Path(made.path), context.folder / "adapters" / made.name)
    run.add_adapter(Adapter(made.name, str(folder), made.manifest))
    run.info["adapter"] = made.name
    return True


def _copied(source: Path, folder: Path) -> Path:
    """A copy of a finished folder, whole or not at all; the parent may be deleted one day."""
    if not (source / "manifest.json").is_file():
        raise ModelError(
            f"{source}: the parent's model is gone; fork again without --keep-models, then the "
            "first models are made anew"
        )
    if folder.exists():
        shutil.rmtree(folder)  # left by a killed run of this step
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.partial")
    if part.exists():
        shutil.rmtree(part)
    shutil.copytree(source, part)
    part.replace(folder)
    return folder
