"""What the ledger says of a campaign: its driver, its steps, its oracle calls, its soundness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from design_loop.doctor.findings import Finding, Severity
from design_loop.ledger import CampaignState, Ledger, StepState


def check_soundness(ledger: Ledger, campaign: str) -> Iterator[Finding]:
    """Damaged pages and rows that point nowhere."""
    damage = ledger.damage()
    if damage is None:
        yield Finding(
            "ledger",
            Severity.INFO,
            "the ledger is in PostgreSQL, whose soundness is not examined here",
            "its administrator's pg_amcheck does",
        )
        return
    for line in damage:
        yield Finding(
            "ledger",
            Severity.ERROR,
            f"the ledger is damaged: {line}",
            f"stop all campaigns, copy {ledger.where} away, then "
            f"`sqlite3 {ledger.where} .recover | sqlite3 NEW.sqlite` and go on with --store "
            "NEW.sqlite; copies of earlier versions lie beside it (*.bak)",
        )


def check_lease(ledger: Ledger, campaign: str) -> Iterator[Finding]:
    """Who drives the campaign, and leases and claims that a dead driver left."""
    lease = ledger.lease_state(campaign)
    if lease is not None:
        who = f"process {lease.owner.get('pid')} on {lease.owner.get('host')}"
        if lease.living:
            yield Finding("lease", Severity.INFO, f"driven by {who} since {lease.acquired:%F %T}")
        else:
            gone = (
                "is dead" if lease.dead else f"has been silent for {-lease.left_s:.0f} s too long"
            )
            yield Finding(
                "lease",
                Severity.WARNING,
                f"its lease is held by {who}, which {gone}",
                "a resume takes it over by itself",
                partial(ledger.forget_lease, campaign),
                "lease and claims deleted",
            )
    stale = ledger.stale_claims(campaign)
    if stale:
        yield Finding(
            "claims",
            Severity.WARNING,
            f"{len(stale)} oracle calls are claimed by a driver that is gone",
            "whoever wants them next takes them over by itself",
            partial(ledger.forget_lease, campaign),
            "claims deleted",
        )


def check_steps(ledger: Ledger, campaign: str) -> Iterator[Finding]:
    """Steps that run although nobody drives them, and steps that failed."""
    lease = ledger.lease_state(campaign)
    driven = lease is not None and lease.living
    state = ledger.campaign(campaign).state
    stuck = [s for s in ledger.steps(campaign) if s.state is StepState.RUNNING]
    if not driven and (stuck or state is CampaignState.RUNNING):
        where = "; ".join(f"round {s.round}, {s.name}" for s in stuck) or "between two steps"
        yield Finding(
            "steps",
            Severity.WARNING,
            f"nobody drives it, but it is recorded as running ({where})",
            f"`design-loop campaign resume {campaign}` goes on there; nothing is done twice",
            partial(ledger.settle_after_death, campaign),
            "recorded as stopped",
        )
    for step in ledger.steps(campaign):
        if step.state is StepState.FAILED:
            reason = (step.error or "").strip().splitlines()
            yield Finding(
                "steps",
                Severity.ERROR,
                f"round {step.round}, {step.name} failed in attempt {step.attempts}: "
                f"{reason[-1] if reason else 'no reason recorded'}",
                f"mend the cause, then `design-loop campaign resume {campaign}`",
            )


def check_calls(ledger: Ledger, campaign: str) -> Iterator[Finding]:
    """Oracle calls in quarantine, by what happened to them."""
    calls = ledger.quarantined(campaign)
    kinds = Counter(call.failure.kind or "unknown" for call in calls)
    for kind, count in kinds.most_common():
        last = [c for c in calls if (c.failure.kind or "unknown") == kind][-1]
        yield Finding(
            "oracle",
            Severity.WARNING,
            f"{count} oracle calls are in quarantine ({kind}); the last: {last.candidate}: "
            f"{last.failure.error}",
            _ADVICE.get(kind, "see the whole trace with --format json")
            + "; --retry-quarantined lets them be tried anew, also while the campaign runs",
        )


_ADVICE = {
    "Timeout": "oracle.timeout_s may be too short, or the code hangs",
    "Crash": "the worker process died: look into logs/ and at the node's memory",
    "OutOfMemory": "raise oracle.memory_per_call or lower resources.oracle_parallel",
    "NotConvergedError": "another try gives the same, other settings of the calculator might not",
    "External": "it was given up by `campaign import-labels`, for the reason above",
    "NotFinite": "the calculator gave NaN or infinity; its settings are wrong for this structure",
}
