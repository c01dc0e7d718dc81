"""Step 5 of a round: the oracle's labels, as Ray tasks, each committed as it arrives."""

from __future__ import annotations

from dataclasses import asdict

from design_loop.campaign.calls import Settled, settle_calls
from design_loop.campaign.context import Context
from design_loop.campaign.stages import StageBook, choose_next, take_imported
from design_loop.ledger.steps import StepRun


def verify(context: Context, number: int, run: StepRun) -> None:
    """Label what was selected; what another round or campaign computed already is taken over.

    With several stages, each computes the best of what the one before labelled.
    """
    if not context.stages:
        _take_predictions(context, number, run)
        return
    for place in range(len(context.stages)):
        if place > 0:
            context.take_up()  # the stage before may have computed for days
            choose_next(context, number, context.stages[place])
        stage = context.stages[place]
        book = StageBook(context.ledger, context.id, number, stage)
        if stage.external:
            _count(run, Settled(reused=take_imported(book)))
            continue
        _count(run, settle_calls(context, book, stage.spec, stage.call))


def _count(run: StepRun, settled: Settled) -> None:
    """Add what became of a stage's calls to what the step remembers."""
    for name, count in asdict(settled).items():
        run.info[name] = run.info.get(name, 0) + count


def _take_predictions(context: Context, number: int, run: StepRun) -> None:
    """Without an oracle the surrogate's own prediction is fed back, as in the paper, marked so."""
    chosen = {s.candidate for s in context.ledger.selections(context.id, number)}
    values = {
        p.candidate: dict(p.mean)
        for _, p in context.ledger.predictions(context.id, number)
        if p.candidate in chosen
    }
    run.record_unverified(values)
    run.info["unverified"] = len(values)
