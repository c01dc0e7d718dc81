"""What the command line and the HTTP API let people do with a campaign, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from defects.errors import ConfigError
from design_loop.config import CampaignConfig
from design_loop.config.amend import amended, check_extension
from design_loop.ledger import Action, CampaignState, Ledger


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes
    ----------
    campaign : str
    state : CampaignState
        After it.
    pending : Action or None
        What the driver has still to act on.
    text : str
        In words.
    """

    campaign: str
    state: CampaignState
    pending: Action | None
    text: str


def halt(ledger: Ledger, campaign: str, action: Action, by: str | None = None) -> Answer:
    """Pause or stop a campaign, now or at its driver's next safe point.

    Raises
    ------
    TransitionError
        There is nothing to pause or stop.
    """
    happened = ledger.ask(campaign, action, by)
    state = ledger.campaign(campaign).state
    if happened:
        return Answer(campaign, state, None, f"{campaign} is {state}")
    text = (
        f"{campaign}: {action} asked for; it finishes the step at work, or the oracle calls in "
        "flight, and gives its models back"
    )
    return Answer(campaign, state, action, text)


def extend(
    ledger: Ledger,
    campaign: str,
    rounds: int | None,
    budget: int | None,
    by: str | None = None,
    *,
    stage: int | None = None,
) -> Answer:
    """Add rounds, or change the oracle calls per round; of several stages the first one's.

    `stage` says of which one else.

    Raises
    ------
    TransitionError
        The campaign failed, or is done and gets no rounds.
    ConfigError
        A campaign file could not ask for that either.
    """
    config = current_config(ledger, campaign)
    check_extension(config, rounds, budget, stage)
    ledger.extend(campaign, rounds=rounds, budget=budget, stage=stage or 1, by=by)
    config = current_config(ledger, campaign)
    state = ledger.campaign(campaign).state
    text = f"{campaign}: {config.rounds} rounds in all"
    if config.oracle.kind != "none":
        first, then = config.selection.budget, config.oracle.then
        calls = f"{first} oracle calls"
        if then:
            calls = f"{first} calls of stage 1" + "".join(
                f", {later.budget} of stage {number}" for number, later in enumerate(then, start=2)
            )
        text += f", {calls} in each that comes"
    text += "; its driver takes it up" if ledger.driver(campaign) else f"; it is {state}"
    return Answer(campaign, state, None, text)


def current_config(ledger: Ledger, campaign: str) -> CampaignConfig:
    """The configuration that counts: the recorded one with its amendments.

    Raises
    ------
    ConfigError
        It was recorded by a version with another schema.
    """
    found = ledger.campaign(campaign)
    try:
        config = CampaignConfig.model_validate(found.config)
    except ValidationError as error:
        version = found.versions.get("design-loop", "unknown")
        raise ConfigError(
            f"{campaign}: its configuration is not of this version of design-loop; use the version "
            f"that started it, {version}"
        ) from error
    return amended(config, ledger.amendments(campaign))
