"""The steps' part in watching diversity: measure, record, and answer a collapse."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

from defects.configuration import Configuration
from design_loop.adaptation.collapse import heat_before, judge, next_heat, recorded
from design_loop.adaptation.diversity import Diversity, Ruler, measure

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun

#: Random numbers of a round that belong to the measuring; see `Context.rng`.
_STREAM = 5
#: Where the step ``generate`` leaves the measures of answers that did not become proposals as such.
OWN = "own_diversity"


def measured(
    context: Context, number: int, valid: Sequence[Configuration], earlier: Set[str]
) -> Diversity:
    """Measures of the valid answers of a round; `earlier` are keys that earlier rounds proposed."""
    ruler = Ruler(
        context.host,
        context.config.rules,
        [r.configuration for r in context.dataset if r.properties],
    )
    return measure(valid, earlier, ruler, context.rng(number, _STREAM))


def watch_diversity(
    context: Context,
    number: int,
    run: StepRun,
    valid: Sequence[Configuration],
    earlier: Set[str],
) -> None:
    """Measure the answers of a round, and say so where they have collapsed.

    The measures and the verdict become part of the step's record, where the next rounds' settings
    and the adapter's training read them; a collapse is also an event. Where the proposer has
    changed the model's answers and measured them before that, these measures count: what a search
    makes of them is new and different whatever the model says.

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
    own = _own(context, number)
    now = measured(context, number, valid, earlier) if own is None else own
    first = [
        row
        for n in range(1, min(number, settings.baseline_rounds + 1))
        # Rounds of an older version measured what became of the answers: no baseline for these.
        if (row := recorded(context.ledger, context.id, n))
        and row.get("own", False) == (own is not None)
    ]
    heat = heat_before(context.ledger, context.id, number)
    told: dict[str, Any] = now.to_dict() | ({} if own is None else {"own": True})
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


def _own(context: Context, number: int) -> Diversity | None:
    """What the proposer measured of the model's answers before it changed them."""
    for step in context.ledger.steps(context.id, number):
        if step.name == "generate" and OWN in step.info:
            return Diversity(**step.info[OWN])
    return None


def restarts(context: Context, number: int) -> bool:
    """Whether the adapter that this round trains starts anew because diversity has collapsed."""
    return bool(recorded(context.ledger, context.id, number).get("restart"))


def softened(weight: float) -> float:
    """Half the extra weight of new data, so that what was known before counts more again."""
    return 1.0 + (weight - 1.0) / 2 if weight > 1 else weight
