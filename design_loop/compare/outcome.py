"""What one campaign of a comparison came to, read from the ledger."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC

from defects.targets import meets_all
from design_loop.compare.clock import read_clock
from design_loop.ledger import Ledger, overviews
from design_loop.ledger.names import CODE
from design_loop.summary import campaign_targets, target_error


@dataclass(frozen=True)
class Call:
    """A label of the oracle, in the order in which they came.

    Attributes
    ----------
    number : int
        Calls so far, this one among them: labels, and what failed for good in earlier rounds.
    seconds : float
        Time that the campaign had taken when it came; see `design_loop.compare.clock.Clock`.
    own_seconds : float
        Of it what it took outside its steps ``verify``, where the oracle works.
    hit : bool
        Whether it meets all targets.
    new : bool
        Whether the dataset did not hold it.
    error : float
        Distance to the targets; infinite where the label lacks a property.
    """

    number: int
    seconds: float
    own_seconds: float
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
        Of the whole campaign, with what labels of other campaigns had cost there.
    own_seconds : float
        Of it what it took outside its steps ``verify``.
    calls : tuple of Call
    code : str or None
        Which source code began it; None where the ledger does not say.
    created : str
        When it was begun, in UTC, as ISO 8601.
    """

    arm: str
    seed: int
    campaign: str
    samples: int
    proposals: int
    evaluations: int
    failed: int
    seconds: float
    own_seconds: float
    calls: tuple[Call, ...]
    code: str | None = None
    created: str = ""

    @property
    def spent(self) -> int:
        """Oracle calls, those without a result among them."""
        return len(self.calls) + self.failed

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
        """Smallest distance to the targets; None without a complete label."""
        return min((c.error for c in self.calls if math.isfinite(c.error)), default=None)


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
    clock = read_clock(ledger, campaign)
    with ledger.reading() as connection:
        funnels = overviews.funnels(connection, campaign)
    calls = []
    for count, timed in enumerate(clock.labels, start=1):
        label = timed.label
        calls.append(
            Call(
                count + sum(f.failed for n, f in funnels.items() if n < label.round),
                timed.seconds,
                timed.own_seconds,
                meets_all(targets, label.properties),
                label.candidate not in known,
                target_error(targets, label.properties),
            )
        )
    funnel = overviews.all_funnels(funnels)
    inside = sum(
        int(s.info.get(what) or 0)
        for s in ledger.steps(campaign)
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
        seconds=clock.seconds,
        own_seconds=clock.own_seconds,
        calls=tuple(calls),
        code=found.versions.get(CODE),
        created=found.created.astimezone(UTC).isoformat(),
    )
