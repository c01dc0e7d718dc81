"""What an extension makes of a configuration, and whether it may."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from defects.errors import ConfigError
from design_loop.config.campaign import CampaignConfig

if TYPE_CHECKING:
    from design_loop.ledger import Amendment


def amended(config: CampaignConfig, amendments: Sequence[Amendment]) -> CampaignConfig:
    """The configuration that counts after some amendments, in order.

    Rounds add up; of budgets the last one counts.
    """
    rounds = config.rounds + sum(a.rounds or 0 for a in amendments)
    budgets = [a.budget for a in amendments if a.budget is not None]
    selection = config.selection
    if budgets:
        selection = selection.model_copy(update={"budget": budgets[-1]})
    return config.model_copy(update={"rounds": rounds, "selection": selection})


def check_extension(config: CampaignConfig, rounds: int | None, budget: int | None) -> None:
    """Refuse an extension of an (amended) configuration that a campaign file could not ask for.

    Raises
    ------
    ConfigError
        Too many rounds, a budget that the samples of a round do not suffice for, or neither.
    """
    if rounds is None and budget is None:
        raise ConfigError("an extension needs rounds, a budget, or both")
    if rounds is not None and rounds < 1:
        raise ConfigError(f"rounds: {rounds} more rounds are no extension; write 1 or more")
    if budget is not None and config.oracle.kind == "none":
        raise ConfigError("budget: this campaign has no oracle that could make more calls")
    if budget is not None:
        _check_budget(config, budget)
    content = config.model_dump(mode="json")
    content["rounds"] += rounds or 0
    if budget is not None:
        content["selection"]["budget"] = budget
    try:
        CampaignConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _check_budget(config: CampaignConfig, budget: int) -> None:
    """Say what an extension can ask for; a campaign file's checks name keys that nobody edits."""
    rest = "a fork with a campaign file of its own (`campaign fork ID FILE.yaml`)"
    samples, quantile = config.generation.samples, config.selection.quantile
    kept = math.floor(quantile * samples)
    if budget > kept:
        raise ConfigError(
            f"budget: {budget} is more than the {kept} candidates that quantile {quantile:g} "
            f"leaves of the {samples} samples of a round; ask for {max(kept, 1)} or less. More "
            f"samples need {rest}"
        )
    if config.oracle.then and budget < config.oracle.then[0].budget:
        later = config.oracle.then[0].budget
        raise ConfigError(
            f"budget: {budget} calls of the first stage are fewer than the {later} of the second, "
            f"which an extension leaves as they are; ask for {later} or more. Other budgets of "
            f"later stages need {rest}"
        )
