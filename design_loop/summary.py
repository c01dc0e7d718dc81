"""What a campaign has achieved, read from its ledger: for displays, tables and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from defects.errors import ConfigError
from defects.properties import Property, unit_of
from defects.targets import Target, meets_all, surrogate_error
from design_loop.config.properties import recorded_properties
from design_loop.ledger import (
    Campaign,
    Funnel,
    Label,
    Prediction,
    Round,
    Source,
    Step,
    StepState,
    overviews,
    queries,
)
from design_loop.ledger.reader import LedgerReader
from design_loop.pace import planned_rounds

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig

#: Of a round that has recorded nothing yet.
NOTHING = Funnel(0, 0, {}, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class RankedCandidate:
    """A labelled candidate and how near it is to what was asked for.

    Attributes
    ----------
    rank : int
        From 1: those that meet all targets first, then by `error`.
    key, description, configuration
        As in the ledger.
    round, labelled_in : int
        The round that proposed it, and the one that labelled it.
    adapter : str or None
        The adapter that proposed it.
    properties : mapping
        Property -> value of the label, in its unit.
    source : Source or None
        Who vouches for the label; None for a candidate that has none.
    meets : bool
        Whether every target is met.
    error : float
        Weighted mean distance to the targets (`error_unit`); infinite where a label lacks a
        property.
    prediction : Prediction or None
        What the surrogate said before.
    asked : mapping
        What its prompt asked for.
    origin : str or None
        ``imported:NAME`` where the label came from outside.
    oracle_key : str or None
        The call that gave the label.
    """

    rank: int
    key: str
    description: str
    configuration: Mapping[str, Any]
    round: int
    labelled_in: int
    adapter: str | None
    properties: Mapping[str, float]
    source: Source | None
    meets: bool
    error: float
    prediction: Prediction | None
    asked: Mapping[str, Any]
    origin: str | None = None
    oracle_key: str | None = None


@dataclass(frozen=True)
class RoundSummary:
    """A round in numbers.

    Attributes
    ----------
    number : int
    done : bool
    adapter, surrogate : str or None
        What it worked with.
    funnel : Funnel
    seconds : dict
        Step -> duration of its finished run, s.
    hits : int
        Labelled candidates of this round that meet all targets.
    best_error : float or None
        Smallest distance to the targets among its labelled candidates; see `error_unit`.
    """

    number: int
    done: bool
    adapter: str | None
    surrogate: str | None
    funnel: Funnel
    seconds: dict[str, float]
    hits: int
    best_error: float | None

    @property
    def total_seconds(self) -> float:
        """Duration of all its finished steps, s."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class CampaignSummary:
    """A campaign in numbers: its rounds, and its labelled candidates by rank.

    `planned` are the rounds that there are to be, with those that an extension added.
    """

    campaign: Campaign
    targets: tuple[Target, ...]
    rounds: tuple[RoundSummary, ...]
    candidates: tuple[RankedCandidate, ...]
    funnel: Funnel
    planned: int

    @property
    def own(self) -> dict[str, Property]:
        """The campaign's own properties by name, for units and decimals."""
        return recorded_properties(self.campaign.config)

    @property
    def error_unit(self) -> str:
        """Unit of distances to the targets."""
        return error_unit(self.targets, self.own)

    @property
    def hits(self) -> int:
        """Labelled candidates that meet all targets."""
        return sum(c.meets for c in self.candidates)

    @property
    def best_error(self) -> float | None:
        """Smallest distance to the targets, in `error_unit`."""
        return min((c.error for c in self.candidates if math.isfinite(c.error)), default=None)


def error_unit(targets: Sequence[Target], own: Mapping[str, Property]) -> str:
    """Unit of `target_error`: that of the targets' properties, empty where they differ in it."""
    units = {unit_of(target.property, own) for target in targets}
    return units.pop() if len(units) == 1 else ""


def oracle_budget(config: CampaignConfig) -> int:
    """Candidates that a campaign may verify in all its rounds; 0 without an oracle.

    With several stages only the last one verifies.
    """
    if config.oracle.kind == "none":
        return 0
    then = config.oracle.then
    return (then[-1].budget if then else config.selection.budget) * config.rounds


def campaign_targets(campaign: Campaign) -> tuple[Target, ...]:
    """Read back what a campaign was started to find.

    Only this part of the recorded configuration is read, so that campaigns of older versions can
    still be shown.

    Raises
    ------
    ConfigError
        When this version does not know such targets.
    """
    try:
        return tuple(Target.model_validate(target) for target in campaign.config["targets"])
    except (KeyError, TypeError, ValidationError) as error:
        version = campaign.versions.get("design-loop", "unknown")
        raise ConfigError(
            f"{campaign.id}: its recorded targets are not of this version of design-loop; "
            f"use the version that started it, {version}"
        ) from error


def target_error(targets: Sequence[Target], properties: Mapping[str, float]) -> float:
    """Weighted mean distance of a label to the targets; infinite without all properties."""
    if any(t.property not in properties for t in targets):
        return math.inf
    return surrogate_error(targets, properties)


def rank_candidates(
    ledger: LedgerReader, campaign: str, targets: Sequence[Target]
) -> tuple[RankedCandidate, ...]:
    """Order the labelled candidates of a campaign, the best first.

    The oracle's labels count; in a campaign without an oracle the surrogate's, and each candidate
    says which of the two it has.
    """
    with ledger.reading() as connection:
        found = overviews.labelled(connection, campaign, Source.ORACLE)
        if not found:
            found = overviews.labelled(connection, campaign, Source.SURROGATE)
    adapters = {r.number: r.adapter for r in ledger.rounds(campaign)}
    known = {each.candidate.key: each for each in found}

    def order(label: Label) -> tuple[bool, float, float, str]:
        met = meets_all(targets, label.properties)
        # Of equally good ones the cheaper to make comes first.
        cost = label.properties.get("formation_energy_per_site", math.inf)
        return not met, target_error(targets, label.properties), cost, label.candidate

    ranked = []
    for rank, label in enumerate(sorted((each.label for each in found), key=order), start=1):
        candidate = known[label.candidate].candidate
        ranked.append(
            RankedCandidate(
                rank=rank,
                key=candidate.key,
                description=candidate.description,
                configuration=candidate.configuration,
                round=candidate.round,
                labelled_in=label.round,
                adapter=adapters.get(candidate.round),
                properties=label.properties,
                source=label.source,
                meets=meets_all(targets, label.properties),
                error=target_error(targets, label.properties),
                prediction=known[label.candidate].prediction,
                asked=candidate.asked,
                origin=label.origin,
                oracle_key=label.oracle_key,
            )
        )
    return tuple(ranked)


def summarise_round(ledger: LedgerReader, campaign: str, number: int) -> RoundSummary:
    """Summarise one round of a campaign."""
    targets = campaign_targets(ledger.campaign(campaign))
    [found] = [r for r in ledger.rounds(campaign) if r.number == number]
    ranked = rank_candidates(ledger, campaign, targets)
    steps = ledger.steps(campaign, number)
    return _summarise(found, steps, ledger.funnel(campaign, number), ranked)


def summarise_campaign(ledger: LedgerReader, campaign: str) -> CampaignSummary:
    """Summarise a campaign, finished or not.

    Raises
    ------
    LedgerError
        When the ledger has no such campaign.
    """
    found = ledger.campaign(campaign)
    targets = campaign_targets(found)
    ranked = rank_candidates(ledger, found.id, targets)
    rounds, steps = ledger.rounds(found.id), ledger.steps(found.id)
    with ledger.reading() as connection:
        funnels = overviews.funnels(connection, found.id)
        amendments = queries.amendments(connection, found.id)
    return CampaignSummary(
        campaign=found,
        targets=targets,
        rounds=tuple(
            _summarise(
                r, [s for s in steps if s.round == r.number], funnels.get(r.number, NOTHING), ranked
            )
            for r in rounds
        ),
        candidates=ranked,
        funnel=overviews.all_funnels(funnels),
        planned=planned_rounds(found.config, amendments),
    )


def _summarise(
    found: Round, steps: Sequence[Step], funnel: Funnel, ranked: Sequence[RankedCandidate]
) -> RoundSummary:
    mine = [c for c in ranked if c.labelled_in == found.number]
    return RoundSummary(
        number=found.number,
        done=found.state is StepState.DONE,
        adapter=found.adapter,
        surrogate=found.surrogate,
        funnel=funnel,
        seconds={s.name: s.seconds for s in steps if s.state.is_final and s.seconds is not None},
        hits=sum(c.meets for c in mine),
        best_error=min((c.error for c in mine if math.isfinite(c.error)), default=None),
    )
