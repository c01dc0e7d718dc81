"""Steps 3 and 4 of a round: predict, and select for the oracle."""

from __future__ import annotations

import math
from collections import Counter

from defects.oracles import oracle_key
from defects.targets import surrogate_error
from design_loop.campaign.context import Context
from design_loop.ledger import Candidate, Prediction, Selection
from design_loop.ledger.steps import StepRun
from design_loop.proposers.energy import total_energy
from design_loop.selection import Screened, select


def predict(context: Context, number: int, run: StepRun) -> None:
    """Step 3: predict the candidates' properties and their distance to the targets.

    Candidates that no oracle call was spent on are predicted again: the surrogate has learnt since,
    and what it misjudged may be what is looked for.
    """
    new = context.ledger.candidates(context.id, number)
    waiting = _passed_over(context, number) if context.config.selection.reconsider else []
    run.info["predicted"], run.info["reconsidered"] = len(new), len(waiting)
    candidates = [*new, *waiting]
    if not candidates:
        return
    targets = context.config.targets
    found = context.services.predict([context.configuration(c.configuration) for c in candidates])
    predictions = [
        Prediction(c.key, mean, std, surrogate_error(targets, mean), bool(ood))
        for c, mean, std, ood in zip(candidates, found.mean, found.std, found.ood, strict=True)
    ]
    energies = total_energy(targets, found.mean, found.std)
    said: set[str] = set()
    if waiting:
        # A surrogate that has not changed since has nothing new to say of them.
        told = context.ledger.predictions(context.id)
        said = {p.candidate for name, p in told if name == found.version}
    again = [i for i in range(len(new), len(candidates)) if candidates[i].key not in said]
    # The most promising, or a long campaign's records would grow with the square of its rounds.
    selection = context.config.selection
    most = max(len(new), math.ceil(selection.budget / selection.quantile))
    again = sorted(again, key=lambda i: (energies[i], candidates[i].key))[:most]
    run.record_predictions(found.version, predictions[: len(new)] + [predictions[i] for i in again])
    run.info["surrogate"] = found.version
    run.info["out_of_domain"] = sum(found.ood[: len(new)])


def _passed_over(context: Context, number: int) -> list[Candidate]:
    """Candidates of earlier rounds that were never selected and have no label."""
    ledger, campaign = context.ledger, context.id
    done = {label.candidate for label in ledger.labels(campaign)}
    for earlier in range(1, number):
        done |= {s.candidate for s in ledger.selections(campaign, earlier)}
    return [c for c in ledger.candidates(campaign) if c.round < number and c.key not in done]


def choose(context: Context, number: int, run: StepRun) -> None:
    """Step 4: the best by the campaign's strategy, made diverse, up to the oracle's budget."""
    settings = context.config.selection
    candidates = {c.key: c for c in context.ledger.candidates(context.id) if c.round <= number}
    screened = [
        Screened(
            p.candidate,
            context.configuration(candidates[p.candidate].configuration),
            p.mean,
            p.std,
            p.surrogate_error,
            bool(p.out_of_domain),
        )
        for _, p in context.ledger.predictions(context.id, number)
    ]
    choices = select(
        screened,
        context.config.targets,
        quantile=settings.quantile,
        budget=settings.budget,
        diversity=settings.diversity,
        max_std=settings.max_std,
        strategy=settings.strategy,
        exploration=settings.exploration,
        out_of_domain=settings.out_of_domain,
        known=context.known_properties(),
        rng=context.rng(number, 4),
    )
    verified = context.config.oracle.kind != "none"
    oracle = context.oracle.build() if verified else None
    configurations = {s.key: s.configuration for s in screened}
    selections = [
        Selection(
            c.key,
            c.rank,
            c.reason,
            oracle_key(configurations[c.key], oracle) if oracle is not None else None,
            c.parts,
        )
        for c in choices
    ]
    run.record_selection(selections, oracle=context.oracle.to_dict() if verified else {})
    run.info["selected"] = len(selections)
    run.info["of_earlier_rounds"] = sum(candidates[s.candidate].round < number for s in selections)
    run.info["shares"] = dict(Counter(c.parts["share"] for c in choices))
