"""Stages of the oracle within a round: what the next one sees, and waiting for imported labels."""

from __future__ import annotations

from dataclasses import dataclass

from defects.oracles import oracle_key
from design_loop.campaign.context import Context
from design_loop.config import CampaignConfig
from design_loop.ledger import Ledger, PendingCall, StageCall, StepState, Waiting
from design_loop.oracle_calls import LabelResult
from design_loop.oracle_plan import Stage, oracle_stages
from design_loop.stage_choice import offsets, rank


@dataclass(frozen=True)
class StageBook:
    """The calls of one stage in one round; a `design_loop.campaign.calls.CallBook`."""

    ledger: Ledger
    campaign: str
    round: int
    stage: Stage

    def pending(self) -> list[PendingCall]:
        """What was chosen for the stage and has no label of it."""
        return self.ledger.pending_oracle(
            self.campaign, self.round, self.stage.number, self.stage.source
        )

    def reuse(self) -> list[str]:
        """Take over what another round or campaign computed."""
        return self.ledger.reuse_labels(
            self.campaign, self.round, self.stage.number, self.stage.source
        )

    def keep(self, call: PendingCall, result: LabelResult) -> None:
        """Commit a label."""
        assert result.labels is not None
        self.ledger.record_label(
            self.campaign,
            self.round,
            call.candidate,
            call.oracle_key,
            result.labels,
            result.seconds,
            details=result.details,
            source=self.stage.source,
        )

    def fail(self, call: PendingCall, result: LabelResult, final: bool) -> None:
        """Commit a failed try."""
        self.ledger.record_failure(
            self.campaign,
            self.round,
            call.candidate,
            call.oracle_key,
            result.error,
            final=final,
            seconds=result.seconds,
            kind=result.error_type,
            traceback=result.traceback or None,
        )


def choose_next(context: Context, number: int, stage: Stage) -> list[StageCall]:
    """Choose what a later stage computes: the best by the labels of the stage before.

    The choice is committed before anything is computed, so that a round that is run again computes
    the same.
    """
    ledger, campaign = context.ledger, context.id
    chosen = ledger.stage_calls(campaign, number, stage.number)
    if chosen:
        return chosen
    before = context.stages[stage.number - 2]
    labels = context.labels(before.source)
    dear = {label.candidate: label.properties for label in context.labels(stage.source)}
    here = {label.candidate: label for label in labels if label.round == number}
    targets = context.config.targets
    shift = offsets(
        [(label.properties, dear[label.candidate]) for label in labels if label.candidate in dear],
        [t.property for t in targets],
    )
    ranked = rank(
        {key: label.properties for key, label in here.items() if key not in dear},
        {p.candidate: (p.mean, p.std) for _, p in ledger.predictions(campaign, number)},
        targets,
        shift,
    )
    oracle = stage.spec.build()
    calls = [
        StageCall(
            estimate.key,
            place,
            f"by stage {before.number} ({before.call.kind}), place {place} of {len(ranked)}: "
            + ", ".join(f"{name} {value:.4g}" for name, value in estimate.values.items())
            + f" expected, distance {estimate.error:.4g}, probability of meeting the targets "
            f"{estimate.chance:.2f}",
            oracle_key(context.configuration(here[estimate.key].configuration), oracle),
        )
        for place, estimate in enumerate(ranked[: stage.budget], start=1)
    ]
    return ledger.choose_stage(campaign, number, stage.number, calls, stage.spec.to_dict())


def take_imported(book: StageBook) -> int:
    """Take over labels that were imported elsewhere, and wait for the rest.

    Returns
    -------
    int
        How many were taken over.

    Raises
    ------
    Waiting
        As long as labels are missing.
    """
    reused = len(book.reuse())
    missing = len(book.pending())
    if missing:
        raise Waiting(_what_to_do(book.campaign, missing, book.stage))
    return reused


def refuse_to_wait(ledger: Ledger, campaign: str, config: CampaignConfig) -> None:
    """Say that a campaign still waits before its models are brought up in vain.

    Raises
    ------
    Waiting
        When all that is left to do in the present round is to wait for labels.
    """
    stages = oracle_stages(config)
    if not stages or not stages[-1].external:
        return
    running = [r.number for r in ledger.rounds(campaign) if r.state != StepState.DONE]
    for number in running:
        states = {s.name: s.state for s in ledger.steps(campaign, number)}
        if states.get("select") != StepState.DONE or states.get("verify") == StepState.DONE:
            continue
        books = [StageBook(ledger, campaign, number, stage) for stage in stages]
        if any(book.pending() for book in books[:-1]):
            continue
        books[-1].reuse()
        missing = len(books[-1].pending())
        if missing:
            raise Waiting(_what_to_do(campaign, missing, stages[-1]))


def _what_to_do(campaign: str, missing: int, stage: Stage) -> str:
    method = stage.spec.settings.get("method", "")
    return (
        f"waits for {missing} labels from outside ({method}): `design-loop campaign export "
        f"{campaign} --waiting --format vasp --out FOLDER`, compute them, `design-loop campaign "
        f"import-labels {campaign} FOLDER`, then `design-loop campaign resume {campaign}`"
    )
