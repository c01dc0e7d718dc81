"""Step 5 of a round: the oracle's labels, as Ray tasks, each committed as it arrives."""

from __future__ import annotations

from design_loop.campaign.context import Context
from design_loop.ledger.steps import StepRun
from design_loop.oracle_calls import LabelResult, PoolLimits


def verify(context: Context, number: int, run: StepRun) -> None:
    """Label what was selected; what another round or campaign computed already is taken over."""
    ledger, settings = context.ledger, context.config.oracle
    if settings.kind == "none":
        _take_predictions(context, number, run)
        return
    reused = ledger.reuse_labels(context.id, number)
    pending = ledger.pending_oracle(context.id, number)
    run.info["reused"] = len(reused)
    limits = PoolLimits(
        max_in_flight=context.config.resources.oracle_parallel,
        cpus_per_call=settings.cpus_per_call,
        gpus_per_call=settings.gpus_per_call,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
    )
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        context.progress.step_advanced(done, len(pending))

    def labelled(result: LabelResult) -> None:
        call = pending[result.index]
        assert result.labels is not None
        ledger.record_label(
            context.id, number, call.candidate, call.oracle_key, result.labels, result.seconds
        )
        advance()

    def failed(result: LabelResult) -> None:
        call = pending[result.index]
        error = f"{result.error_type}: {result.error} (after {result.tries} tries)"
        ledger.record_failure(
            context.id,
            number,
            call.candidate,
            call.oracle_key,
            error,
            final=True,
            seconds=result.seconds,
        )
        context.progress.message("warning", f"oracle: {call.candidate}: {result.error}")
        advance()

    context.progress.step_advanced(0, len(pending))
    configurations = [context.configuration(call.configuration) for call in pending]
    ok, lost = context.services.label(context.oracle, configurations, labelled, failed, limits)
    run.info["labelled"] = ok
    run.info["failed"] = lost


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
