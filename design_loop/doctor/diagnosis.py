"""All examinations of a campaign, in the order in which their findings matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from design_loop.doctor import folder_checks, ledger_checks
from design_loop.doctor.findings import Finding, Severity
from design_loop.ledger import CampaignState, Ledger

Check = Callable[[Ledger, str], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    ledger_checks.check_soundness,
    ledger_checks.check_lease,
    ledger_checks.check_steps,
    ledger_checks.check_calls,
    folder_checks.check_models,
    folder_checks.check_leftovers,
    folder_checks.check_disk,
)


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    campaign : str
    state : CampaignState
    summary : str
        The campaign's state in a sentence.
    findings : tuple of Finding
    """

    campaign: str
    state: CampaignState
    summary: str
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is left to be done."""
        return all(f.severity is Severity.INFO or f.mended for f in self.findings)


def examine(ledger: Ledger, campaign: str, *, mend: bool = False) -> Diagnosis:
    """Look at a campaign, and mend what can be mended.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
        Its id.
    mend : bool
        Do what the findings offer. None offers anything under a living driver, and nothing finished
        is ever changed or deleted.
    """
    findings = []
    for check in CHECKS:
        for finding in check(ledger, campaign):
            if mend and finding.mend is not None:
                finding.mend()
                finding.mended = True
            findings.append(finding)
    record = ledger.campaign(campaign)
    return Diagnosis(record.id, record.state, _summary(ledger, campaign), tuple(findings))


def _summary(ledger: Ledger, campaign: str) -> str:
    record = ledger.campaign(campaign)
    steps = ledger.steps(campaign)
    open_steps = [s for s in steps if not s.state.is_final]
    rounds = [r for r in ledger.rounds(campaign) if r.state == "done" and r.number]
    where = f"; next: round {open_steps[0].round}, {open_steps[0].name}" if open_steps else ""
    done = f"{len(rounds)} round{'' if len(rounds) == 1 else 's'} done"
    error = f" ({record.error.strip().splitlines()[-1]})" if record.error else ""
    return f"{record.state}{error}; {done}{where}"
