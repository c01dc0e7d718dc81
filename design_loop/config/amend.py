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

    Rounds add up; of the budgets of a stage the last one counts.
    """
    rounds = config.rounds + sum(a.rounds or 0 for a in amendments)
    made = config.model_copy(update={"rounds": rounds})
    for amendment in amendments:
        if amendment.budget is not None:
            made = _with_budget(made, amendment.budget, amendment.stage)
    return made


def check_extension(
    config: CampaignConfig, rounds: int | None, budget: int | None, stage: int | None = None
) -> None:
    """Refuse an extension of an (amended) configuration that a campaign file could not ask for.

    Raises
    ------
    ConfigError
        Too many rounds, a budget that the samples of a round or the stages beside it do not
        suffice for, a stage that the oracle does not have or that no budget is given for, or
        neither rounds nor budget.
    """
    if rounds is None and budget is None:
        raise ConfigError("an extension needs rounds, a budget, or both")
    if rounds is not None and rounds < 1:
        raise ConfigError(f"rounds: {rounds} more rounds are no extension; write 1 or more")
    if budget is not None and config.oracle.kind == "none":
        raise ConfigError("budget: this campaign has no oracle that could make more calls")
    if stage is not None and budget is None:
        raise ConfigError(f"stage: {stage} says whose calls a budget is of; give that, too")
    if budget is not None:
        _check_budget(config, budget, stage or 1)
        config = _with_budget(config, budget, stage or 1)
    content = config.model_dump(mode="json")
    content["rounds"] += rounds or 0
    try:
        CampaignConfig.model_validate(content)
    except ValidationError as error:
        [first, *_] = error.errors()
        text = first["msg"].removeprefix("Value error, ")
        if first["loc"] == ("rounds",):
            raise ConfigError(f"rounds: {content['rounds']} in all: {text}") from error
        raise ConfigError(
            f"budget: {budget} does not go with what the campaign was started with: {text}"
        ) from error


def _with_budget(config: CampaignConfig, budget: int, stage: int) -> CampaignConfig:
    """The same with other calls per round of a stage."""
    if stage == 1:
        selection = config.selection.model_copy(update={"budget": budget})
        return config.model_copy(update={"selection": selection})
    then = list(config.oracle.then)
    then[stage - 2] = then[stage - 2].model_copy(update={"budget": budget})
    oracle = config.oracle.model_copy(update={"then": tuple(then)})
    return config.model_copy(update={"oracle": oracle})


def _check_budget(config: CampaignConfig, budget: int, stage: int) -> None:
    """Say what an extension can ask for; a campaign file's checks name keys that nobody edits."""
    budgets = [config.selection.budget, *(later.budget for later in config.oracle.then)]
    if not 1 <= stage <= len(budgets):
        has = "has one stage" if len(budgets) == 1 else f"has stages 1 to {len(budgets)}"
        raise ConfigError(f"stage: there is no stage {stage}; this campaign's oracle {has}")
    samples, quantile = config.generation.samples, config.selection.quantile
    kept = math.floor(quantile * samples)
    if stage == 1 and budget > kept:
        raise ConfigError(
            f"budget: {budget} is more than the {kept} candidates that quantile {quantile:g} "
            f"leaves of the {samples} samples of a round; ask for {max(kept, 1)} or less. More "
            "samples need a fork with a campaign file of its own (`campaign fork ID FILE.yaml`)"
        )
    if stage > 1 and budget > (before := budgets[stage - 2]):
        raise ConfigError(
            f"budget: stage {stage} cannot compute {budget} of the {before} that stage "
            f"{stage - 1} labels; ask for {before} or less, or raise stage {stage - 1} first"
        )
    if stage < len(budgets) and budget < (after := budgets[stage]):
        raise ConfigError(
            f"budget: {budget} calls of stage {stage} are fewer than the {after} of stage "
            f"{stage + 1}; ask for {after} or more, or lower stage {stage + 1} first"
        )
