"""With which settings a round is asked, from the campaign file and what earlier rounds gave."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from defects.text import default_top_p
from design_loop.adaptation.arms import SAMPLED, Arm, RoundPlan
from design_loop.adaptation.collapse import heat_before
from design_loop.adaptation.leader import leader
from design_loop.adaptation.study import ask
from design_loop.adaptation.yields import ArmYield, RoundYields, part_shares

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.config import CampaignConfig

#: Random numbers of a round that belong to the settings; see `Context.rng`.
_STREAM = 4


def plan_round(context: Context, number: int) -> RoundPlan:
    """The settings of a round.

    Without ``generation.adapt`` this is the configured one. With it, that one, the best so far,
    and others that an Optuna sampler asks for, knowing what those of earlier rounds yielded; all
    but the first ask more often for the parts of the targets that gave more. After a collapse of
    diversity all of them are moved towards the upper bounds.
    """
    config = context.config
    adapt, heat = config.generation.adapt, 0
    if config.generation.collapse.enabled:
        heat = heat_before(context.ledger, context.id, number)
    arms, told = [configured(config)], 0
    if adapt.enabled:
        first = max(1, number - adapt.memory)
        yields = RoundYields(
            context.ledger,
            context.id,
            config.targets,
            [r.properties for r in context.dataset if r.properties],
            before=number,
        )
        history: list[ArmYield] = []
        credits = []
        for earlier in range(first, number):
            found = yields.credits(earlier)
            credits += found
            history += yields.arms(earlier, found)
        reach = max(adapt.target_jitter[1], config.generation.target_jitter)
        shares = part_shares(credits, config.targets, adapt.parts, adapt.explore, reach)
        bounds = {name: getattr(adapt, name) for name in SAMPLED}
        first_of_all = {name: getattr(arms[0], name) for name in SAMPLED}
        best = leader(history, bounds) or first_of_all
        settings, told = ask(
            history,
            bounds,
            adapt.arms - 2,
            int(context.rng(number, _STREAM).integers(2**31)),
            startup=2 * adapt.arms,
        )
        arms += [Arm(i, **row, shares=shares) for i, row in enumerate([best, *settings], start=1)]
    arms = [heated(arm, config, heat) for arm in arms]
    return RoundPlan(tuple(arms), told, heat)


def configured(config: CampaignConfig) -> Arm:
    """The setting that the campaign file names."""
    generation = config.generation
    return Arm(
        0,
        temperature=generation.temperature,
        top_p=generation.top_p or default_top_p(generation.format),
        target_jitter=generation.target_jitter,
    )


def heated(arm: Arm, config: CampaignConfig, heat: int) -> Arm:
    """The setting, `heat` steps nearer to the upper bounds; never less random than before."""
    way = min(1.0, heat * config.generation.collapse.step)
    moved = {}
    for name in SAMPLED:
        now, (_, high) = getattr(arm, name), getattr(config.generation.adapt, name)
        moved[name] = now + way * max(high - now, 0.0)
    return replace(arm, **moved)
