"""Steps 3 and 4 of a round: predict, and select for the oracle."""

from __future__ import annotations

from collections import Counter

from defects.oracles import oracle_key
from defects.targets import surrogate_error
from design_loop.campaign.context import Context
from design_loop.ledger import Prediction, Selection
from design_loop.ledger.steps import StepRun
from design_loop.selection import Screened, select


def predict(context: Context, number: int, run: StepRun) -> None:
    """Step 3: predict the candidates' properties and their distance to the targets."""
    candidates = context.ledger.candidates(context.id, number)
    run.info["predicted"] = len(candidates)
    if not candidates:
        return
    found = context.services.predict([context.configuration(c.configuration) for c in candidates])
    predictions = [
        Prediction(c.key, mean, std, surrogate_error(context.config.targets, mean), bool(ood))
        for c, mean, std, ood in zip(candidates, found.mean, found.std, found.ood, strict=True)
    ]
    run.record_predictions(found.version, predictions)
    run.info["surrogate"] = found.version
    run.info["out_of_domain"] = sum(found.ood)


def choose(context: Context, number: int, run: StepRun) -> None:
    """Step 4: the best by the campaign's strategy, made diverse, up to the oracle's budget."""
    settings = context.config.selection
    candidates = {c.key: c for c in context.ledger.candidates(context.id, number)}
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
    run.info["shares"] = dict(Counter(c.parts["share"] for c in choices))
