"""Candidates whose labels have to come from outside."""

from __future__ import annotations

import math
from dataclasses import replace

from design_loop.ledger import Ledger, Source
from design_loop.summary import CampaignSummary, RankedCandidate


def waiting_candidates(ledger: Ledger, summary: CampaignSummary) -> CampaignSummary:
    """The same campaign with the candidates that it waits for in place of the labelled ones.

    They have no properties yet and rank by the order in which they were chosen.
    """
    calls = ledger.external_calls(summary.campaign.id)
    labelled = {c.key for c in summary.candidates}
    known = {c.key: c for c in ledger.candidates(summary.campaign.id)}
    adapters = {r.number: r.adapter for r in ledger.rounds(summary.campaign.id)}
    # A cheaper stage may have relaxed them: a better structure to begin with.
    before = {
        label.candidate: label.oracle_key
        for source in (Source.STAGE_1, Source.STAGE_2)
        for label in ledger.labels(summary.campaign.id, source)
    }
    predictions = {p.candidate: p for _, p in ledger.predictions(summary.campaign.id)}
    found = [
        RankedCandidate(
            rank=rank,
            key=key,
            description=known[key].description,
            configuration=known[key].configuration,
            round=known[key].round,
            labelled_in=calls[key].round,
            adapter=adapters.get(known[key].round),
            properties={},
            source=None,
            meets=False,
            error=math.inf,
            prediction=predictions.get(key),
            asked=known[key].asked,
            oracle_key=before.get(key),
        )
        for rank, key in enumerate((k for k in calls if k not in labelled), start=1)
    ]
    return replace(summary, candidates=tuple(found))
