"""The arms of a comparison: a name, and the proposer that it stands for."""

from __future__ import annotations

from typing import Any

from defects.errors import ConfigError
from design_loop.config import CampaignConfig
from design_loop.config.problems import did_you_mean
from design_loop.config.proposer import ProposerConfig

#: Name -> the proposer's section. What tells an arm from another one of its kind is written out, so
#: that a task file whose own proposer has it set otherwise does not make them the same.
ARMS: dict[str, dict[str, Any]] = {
    "llm": {"kind": "llm", "feedback": True},
    "llm-frozen": {"kind": "llm", "feedback": False},
    "hybrid": {"kind": "hybrid"},
    "random": {"kind": "random", "screen": 1},
    "random-wide": {"kind": "random", "screen": 20},
    "genetic": {"kind": "genetic", "screen": 1},
    "genetic-wide": {"kind": "genetic", "screen": 40},
    "tpe": {"kind": "tpe"},
    "gibbs": {"kind": "gibbs"},
    "nearest": {"kind": "nearest"},
}


def needs_model(arm: str) -> bool:
    """Whether a language model is served and fine-tuned for an arm; False for an unknown one."""
    return arm in ARMS and ProposerConfig.model_validate(ARMS[arm]).needs_model


def with_proposer(config: CampaignConfig, arm: str) -> CampaignConfig:
    """A campaign with the proposer of an arm, named for it, and nothing else changed.

    Parameters
    ----------
    config : CampaignConfig
        The task. Where its own proposer is of the arm's kind, the settings that the arm does not
        name are kept.
    arm : str
        A name of `ARMS`.

    Raises
    ------
    ConfigError
        When there is no such arm.
    """
    if arm not in ARMS:
        raise ConfigError(f"no proposer {arm!r}{did_you_mean(arm, ARMS)}")
    section = dict(ARMS[arm])
    if config.proposer.kind == section["kind"]:
        section = config.proposer.model_dump() | section
    name = f"{config.name[: 60 - len(arm)]}-{arm}"
    changed = {"name": name, "proposer": section}
    return CampaignConfig.model_validate(config.model_dump(mode="json") | changed)


def arm_config(config: CampaignConfig, arm: str, seed: int) -> CampaignConfig:
    """The campaign of a comparison for one arm and one seed.

    Parameters
    ----------
    config, arm
        As in `with_proposer`.
    seed : int
        Added to the task's seed.

    Raises
    ------
    ConfigError
        When there is no such arm.
    """
    made = with_proposer(config, arm)
    # Nobody uses what the last round would teach, and it would count as this arm's time.
    learn = made.learn.model_dump() | {"last_round": False}
    changed = {"seed": config.seed + seed, "learn": learn}
    return CampaignConfig.model_validate(made.model_dump(mode="json") | changed)
