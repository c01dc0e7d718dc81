"""Proposals of the language model, refined by local moves on the surrogate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from defects.configuration import Configuration
from defects.errors import ParseError
from defects.text import build_answer, parse_answer
from design_loop.adaptation.watch import OWN, measured
from design_loop.ledger import Sample
from design_loop.proposers.energy import Scorer
from design_loop.proposers.history import known_keys
from design_loop.proposers.llm import LlmProposer
from design_loop.proposers.moves import Moves, new_near

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun

#: How a refined proposal is marked; its text is in the compact format whatever the model's is.
REFINED = "refined"


class HybridProposer(LlmProposer):
    """Every readable answer walks downhill on the surrogate, then stands in the answer's place."""

    leaves_known = True

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """Sample, then refine."""
        samples = super().propose(context, number, run)
        answers: list[Configuration] = []
        found: dict[int, Configuration] = {}
        for place, sample in enumerate(samples):
            try:
                configuration = super().read(context, number, sample)
            except ParseError:
                continue
            answers.append(configuration)
            if context.domain.labelable(configuration):
                found[place] = configuration
        # Refined ones are new and different by construction: in them no model is seen to collapse.
        earlier = context.ledger.known_keys(context.id)
        run.info[OWN] = measured(context, number, answers, earlier).to_dict()
        score = Scorer(context)
        better = refine(
            context, list(found.values()), score, known_keys(context), context.rng(number, 3)
        )
        request = context.request({}, 0, 0)
        changed = 0
        for (place, before), after in zip(found.items(), better, strict=True):
            if after.key == before.key:
                continue
            changed += 1
            samples[place] = replace(
                samples[place],
                text=build_answer(context.domain.placed(after), request, "compact"),
                finish_reason=REFINED,
                prompt=(samples[place].prompt or "") + samples[place].text,
            )
        run.info["refined"] = changed
        run.info["surrogate_evaluations"] = score.evaluations
        return samples

    def read(self, context: Context, number: int, sample: Sample) -> Configuration:
        """The configuration of a proposal, refined or as the model gave it."""
        if sample.finish_reason == REFINED:
            return parse_answer(sample.text, context.request({}, 0, number), "compact")
        return super().read(context, number, sample)


def refine(
    context: Context,
    start: Sequence[Configuration],
    score: Scorer,
    known: set[str],
    rng: np.random.Generator,
) -> list[Configuration]:
    """Steepest descent from every configuration at once, over random neighbours.

    Ends that meet, or that are known, would be dropped: each walker keeps to classes that no other
    has taken, and one that starts at such a class first goes on to the next that is free.

    Returns
    -------
    list of Configuration
        One per start; the start itself where no neighbour is better. Classes are new and differ as
        long as there are new ones.
    """
    settings = context.config.proposer
    moves = Moves(context.host, context.config.rules, context.domain)
    taken = known | {c.key for c in start}
    current: list[Configuration] = []
    seen = set(known)
    for c in start:
        free = c if c.key not in seen else new_near(c, context.domain, taken, rng) or c
        seen.add(c.key)
        taken.add(free.key)
        current.append(free)
    energies = score(current)
    for _ in range(settings.steps):
        owners: list[int] = []
        tried: list[Configuration] = []
        for i, c in enumerate(current):
            for _ in range(settings.moves):
                neighbour = moves.neighbour(c, rng)
                if neighbour is not None and neighbour.key not in taken:
                    owners.append(i)
                    tried.append(neighbour)
        values = score(tried)
        moved = False
        for k in np.argsort(values, kind="stable"):
            i = owners[k]
            # The best neighbour of each, and none that a walker took a moment ago.
            if values[k] < energies[i] and tried[k].key not in taken:
                current[i], energies[i] = tried[k], values[k]
                taken.add(tried[k].key)
                moved = True
        if not moved:
            break
    return current
