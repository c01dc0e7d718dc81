"""What one campaign of a comparison came to, read from the ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from design_loop.ledger import Label, Ledger, Source, Step
from design_loop.summary import campaign_targets, meets_all, target_error


@dataclass(frozen=True)
class Call:
    """A label of the oracle, in the order in which they came.

    Attributes
    ----------
    number : int
        From 1.
    seconds : float
        Time that the campaign had taken when it came, labels of other campaigns paid for.
    hit : bool
        Whether it meets all targets.
    new : bool
        Whether the dataset did not hold it.
    error : float
        Distance to the targets.
    """

    number: int
    seconds: float
    hit: bool
    new: bool
    error: float


@dataclass(frozen=True)
class Outcome:
    """A campaign in numbers.

    Attributes
    ----------
    arm, seed, campaign
        Which.
    samples : int
        Answers that the proposer gave, invalid, repeated and unlabelable ones among them.
    proposals : int
        New valid proposals: what passed the check and the campaign did not have before. With a
        table as oracle all proposers get equally many of these, elsewhere of the answers.
    evaluations : int
        Configurations that the surrogate saw: the candidates, and those inside the proposer.
    failed : int
        Oracle calls without a result.
    seconds : float
        Of the whole campaign, including its last training.
    calls : tuple of Call
    """

    arm: str
    seed: int
    campaign: str
    samples: int
    proposals: int
    evaluations: int
    failed: int
    seconds: float
    calls: tuple[Call, ...]

    @property
    def hits(self) -> int:
        """Labels that meet all targets and are no rows of the dataset."""
        return sum(c.hit and c.new for c in self.calls)

    @property
    def known_hits(self) -> int:
        """Labels that meet all targets and are rows of the dataset."""
        return sum(c.hit and not c.new for c in self.calls)

    @property
    def best_error(self) -> float | None:
        """Smallest distance to the targets."""
        return min((c.error for c in self.calls), default=None)


def read_outcome(
    ledger: Ledger, campaign: str, arm: str, seed: int, known: Collection[str]
) -> Outcome:
    """Read a finished campaign.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
    arm, seed
        As which it ran.
    known : collection of str
        Keys of the dataset's labelled rows.
    """
    found = ledger.campaign(campaign)
    targets = campaign_targets(found)
    steps = ledger.steps(campaign)
    calls = []
    for label, seconds in _timed(ledger, campaign, steps, _startup(steps, found.created)):
        calls.append(
            Call(
                len(calls) + 1,
                seconds,
                meets_all(targets, label.properties),
                label.candidate not in known,
                target_error(targets, label.properties),
            )
        )
    funnel = ledger.funnel(campaign)
    inside = sum(
        int(s.info.get(what) or 0)
        for s in steps
        for what in ("surrogate_evaluations", "reconsidered")
    )
    return Outcome(
        arm=arm,
        seed=seed,
        campaign=campaign,
        samples=funnel.samples,
        proposals=funnel.candidates,
        evaluations=funnel.predicted + inside,
        failed=funnel.failed,
        seconds=_startup(steps, found.created) + sum(s.seconds or 0.0 for s in steps),
        calls=tuple(calls),
    )


def _startup(steps: list[Step], created) -> float:
    """Seconds until the first step began: models that had to be brought up.

    Zero where the first step was run again, for then a pause lies in between.
    """
    first = next((s for s in steps if s.started is not None), None)
    if first is None or first.started is None or first.attempts > 1:
        return 0.0
    return max(0.0, (first.started - created).total_seconds())


def _timed(
    ledger: Ledger, campaign: str, steps: list[Step], begin: float
) -> list[tuple[Label, float]]:
    """Labels with the seconds that the campaign had taken: pauses between runs left out.

    A label that another campaign had computed costs what it cost there.
    """
    timed: list[tuple[Label, float]] = []
    for step in steps:
        if step.name == "verify" and step.started is not None:
            labels = ledger.labels(campaign, Source.ORACLE, step.round)
            early = sum(label.time < step.started for label in labels)
            bought = early + int(step.info.get("reused") or 0)
            paid = 0.0
            for place, label in enumerate(labels):
                if place < bought:
                    paid += label.seconds or 0.0
                    timed.append((label, begin + paid))
                else:
                    here = (label.time - step.started).total_seconds()
                    timed.append((label, begin + paid + max(0.0, here)))
            begin += paid
        begin += step.seconds or 0.0
    return timed
