"""The steps' part in watching diversity: measure, record, and answer a collapse."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from defects.configuration import Configuration
from design_loop.adaptation.collapse import heat_before, judge, next_heat, recorded
from design_loop.adaptation.diversity import Ruler, measure

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun

#: Random numbers of a round that belong to the measuring; see `Context.rng`.
_STREAM = 5


def watch_diversity(
    context: Context,
    number: int,
    run: StepRun,
    valid: Sequence[Configuration],
    earlier: Set[str],
) -> None:
    """Measure the answers of a round, and say so where they have collapsed.

    The measures and the verdict become part of the step's record, where the next rounds' settings
    and the adapter's training read them; a collapse is also an event.

    Parameters
    ----------
    context, number, run
        Of the step ``check``.
    valid : sequence of Configuration
        All answers that are configurations, repeats included.
    earlier : set of str
        Keys that earlier rounds proposed.
    """
    settings, proposer = context.config.generation.collapse, context.config.proposer
    ruler = Ruler(
        context.host,
        context.config.rules,
        [r.configuration for r in context.dataset if r.properties],
    )
    now = measure(valid, earlier, ruler, context.rng(number, _STREAM))
    first = [
        row
        for n in range(1, min(number, settings.baseline_rounds + 1))
        if (row := recorded(context.ledger, context.id, n))
    ]
    heat = heat_before(context.ledger, context.id, number)
    told = now.to_dict()
    run.info["diversity"] = told
    if not (settings.enabled and proposer.needs_model):
        return  # a search that narrows has converged
    verdict = judge(now, first, settings)
    told |= {
        "collapsed": list(verdict.findings),
        "restart": verdict.uniform and settings.restart and proposer.feedback,
        "heat": next_heat(heat, verdict.collapsed, settings.step),
    }
    if verdict.collapsed:
        answer = "the next round is asked with more randomness"
        if told["restart"]:
            answer += ", by an adapter made anew from the base"
        message = f"diversity collapsed: {'; '.join(verdict.findings)}; {answer}"
        run.record_event(message, level="warning")
        context.progress.message("warning", f"round {number}: {message}")


def restarts(context: Context, number: int) -> bool:
    """Whether the adapter that this round trains starts anew because diversity has collapsed."""
    return bool(recorded(context.ledger, context.id, number).get("restart"))


def softened(weight: float) -> float:
    """Half the extra weight of new data, so that what was known before counts more again."""
    return 1.0 + (weight - 1.0) / 2 if weight > 1 else weight
