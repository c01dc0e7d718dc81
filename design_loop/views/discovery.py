"""Verified hits and the best error as oracle calls are spent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from defects.targets import meets_all
from design_loop.ledger import Source, overviews
from design_loop.ledger.reader import LedgerReader
from design_loop.summary import CampaignSummary, target_error


@dataclass(frozen=True)
class Discovery:
    """A campaign after each of its labels.

    Attributes
    ----------
    round : int
    calls : int
        Labels so far, and candidates that failed for good in the rounds up to this one.
    hits : int
        Labels so far that meet all targets.
    best : float
        Smallest distance to the targets so far; infinite before the first complete label.
    """

    round: int
    calls: int
    hits: int
    best: float


def discoveries(ledger: LedgerReader, summary: CampaignSummary) -> list[Discovery]:
    """Follow hits and best error over the oracle's labels, in the order in which they came.

    Failures for good count as calls before the labels of the round after them. Empty without an
    oracle.
    """
    with ledger.reading() as connection:
        labels = [
            each.label
            for each in overviews.labelled(connection, summary.campaign.id, Source.ORACLE)
        ]
    failed = {r.number: r.funnel.failed for r in summary.rounds}
    found: list[Discovery] = []
    hits, best = 0, math.inf
    for count, label in enumerate(sorted(labels, key=lambda x: (x.round, x.time)), start=1):
        hits += meets_all(summary.targets, label.properties)
        best = min(best, target_error(summary.targets, label.properties))
        lost = sum(n for number, n in failed.items() if number < label.round)
        found.append(Discovery(label.round, count + lost, hits, best))
    return found
