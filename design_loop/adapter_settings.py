"""Settings of `adapter train`: those of a campaign, with what the command line says on top.

They are checked as a campaign file's are, by the same schema, and refused by the options' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from defects.errors import ConfigError
from design_loop.adapters import SMALL_RATE, lora_of, training_resources
from design_loop.config import CampaignConfig, parse_campaign
from design_loop.config.consistency import contradictions
from design_loop.config.explain import explain
from design_loop.config.loading import load_preset
from design_loop.config.problems import Problem
from design_loop.config.sections import AdapterConfig, ResourcesConfig
from training.bundled import SMALL

if TYPE_CHECKING:
    from training.spec import LoraHyperparameters, Resources

#: Options whose names are not those of their keys.
_OPTIONS = {
    ("adapter", "max_seconds"): "--max-minutes",
    ("adapter", "target_modules"): "--target-module",
    ("resources", "train_workers"): "--workers",
    ("resources", "train_cpus"): "--cpus",
    ("resources", "train_gpus"): "--gpus",
    ("resources", "train_sharding"): "--sharding",
    ("resources", "train_checkpoint_seconds"): "--checkpoint-seconds",
    ("resources", "train_max_failures"): "--max-failures",
    ("resources", "train_storage"): "--storage",
}


@dataclass(frozen=True)
class AdapterSettings:
    """What an adapter is trained with.

    Attributes
    ----------
    base : str
    properties : tuple of str
    format : str
    seed : int
    hyperparameters, resources
    ray_address : str or None
        Cluster to join.
    """

    base: str
    properties: tuple[str, ...]
    format: str
    seed: int
    hyperparameters: LoraHyperparameters
    resources: Resources
    ray_address: str | None = None


def read_preset(name: str) -> CampaignConfig:
    """A shipped campaign, or a campaign file; what they name need not be here.

    Raises
    ------
    ConfigError
        There is neither, or the file is not acceptable.
    """
    path = Path(name)
    if path.is_file():
        return parse_campaign(path.read_text(encoding="utf-8"), path.name)
    return load_preset(name, check=False)


def adapter_settings(
    preset: str | None,
    *,
    base: str | None = None,
    properties: tuple[str, ...] = (),
    format: str | None = None,
    seed: int | None = None,
    adapter: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> AdapterSettings:
    """Put the options on top of a preset, or of the defaults of a campaign file.

    Parameters
    ----------
    preset : str, optional
        See `read_preset`.
    base, properties, format, seed
        Instead of the preset's; without a preset there have to be a base and a property.
    adapter, resources : mapping
        Keys of these sections of a campaign file; None for what was not said.

    Raises
    ------
    ConfigError
        With every option that is out of bounds, contradicts another one, or is missing.
    """
    found = None if preset is None else read_preset(preset)
    base = base or (found.base_model if found else None)
    wanted = properties or tuple(t.property for t in (found.targets if found else ()))
    missing = [name for name, given in (("--base", base), ("--property", wanted)) if not given]
    if base is None or missing:
        told = " and ".join(missing)
        raise ConfigError(f"{told} missing: write them, or a --preset that has them")
    given = {
        "adapter": {k: v for k, v in (adapter or {}).items() if v is not None},
        "resources": {k: v for k, v in (resources or {}).items() if v is not None},
    }
    if found is None and base == SMALL:
        given["adapter"].setdefault("learning_rate", SMALL_RATE)
    begin = {
        "adapter": found.adapter if found else AdapterConfig(),
        "resources": found.resources if found else ResourcesConfig(),
    }
    sections, problems = {}, []
    for name, section in begin.items():
        model = type(section)
        try:
            sections[name] = model.model_validate({**section.model_dump(), **given[name]})
        except ValidationError as error:
            problems += explain(error, model, (name,))
    problems += contradictions(sections)
    if problems:
        raise ConfigError("\n".join(_told(problem) for problem in problems))
    return AdapterSettings(
        base=base,
        properties=wanted,
        format=format or (found.generation.format if found else "compact"),
        seed=seed if seed is not None else (found.seed if found else 0),
        hyperparameters=lora_of(sections["adapter"]),
        resources=training_resources(sections["resources"]),
        ray_address=sections["resources"].ray_address,
    )


def _told(problem: Problem) -> str:
    """In the words of the command line."""
    place = problem.loc[:2]
    option = _OPTIONS.get((str(place[0]), str(place[-1])))
    option = option or "--" + str(place[-1]).replace("_", "-")
    message = problem.message
    for (section, key), name in _OPTIONS.items():
        message = message.replace(f"{section}.{key}: ", f"{name} ")
    return f"{option}: {message}"
