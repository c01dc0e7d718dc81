"""Pages of candidates and samples, and everything about one candidate.

Each takes a connection of `LedgerReader.reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select

from design_loop.ledger import tables as t
from design_loop.ledger.queries import first_predictions, of_round
from design_loop.ledger.records import Candidate, CheckedSample, Label, Prediction, Sample
from design_loop.ledger.states import Source


@dataclass(frozen=True)
class ScreenedRow:
    """A line of the list of predicted candidates; ``sources`` are those of its labels."""

    key: str
    description: str
    round: int
    mean: Mapping[str, float]
    std: Mapping[str, float]
    surrogate_error: float
    selected: bool
    sources: frozenset[str]


@dataclass(frozen=True)
class SampleRow:
    """A line of the list of samples."""

    round: int
    found: CheckedSample


@dataclass(frozen=True)
class Failure:
    """A try of the oracle that failed."""

    round: int
    error: str
    final: bool
    seconds: float | None
    time: datetime


@dataclass(frozen=True)
class Call:
    """An oracle call as any campaign of this ledger made it."""

    key: str
    oracle: Mapping[str, Any]
    state: str
    tries: int
    seconds: float | None


@dataclass(frozen=True)
class CandidateStory:
    """Everything that happened to a candidate.

    Attributes
    ----------
    candidate
    samples
        Answers that are this candidate: the one that brought it first, then its repetitions.
    repeated
        How many answers of this campaign were it once more.
    predictions
        (surrogate version, round, prediction), oldest first.
    selections
        (round, rank, reason, oracle key).
    labels, failures
    call
        The oracle call of its label or its selection; None without an oracle.
    """

    candidate: Candidate
    samples: tuple[SampleRow, ...]
    repeated: int
    predictions: tuple[tuple[str, int, Prediction], ...]
    selections: tuple[tuple[int, int, str, str | None], ...]
    labels: tuple[Label, ...]
    failures: tuple[Failure, ...]
    call: Call | None


def screened_page(
    connection: Connection, campaign: str, number: int | None, limit: int, offset: int
) -> tuple[int, list[ScreenedRow]]:
    """Read the count and a page of predicted candidates, the smallest surrogate error first.

    Of a round all that stood for selection in it, of the campaign each with its first prediction.
    """
    p, c = t.predictions, t.candidates
    where = [first_predictions()] if number is None else []
    total = connection.execute(
        of_round(select(func.count()).select_from(p), p, campaign, number).where(*where)
    ).scalar_one()
    page = of_round(select(p.c.candidate, p.c.surrogate), p, campaign, number).where(*where)
    page = page.order_by(p.c.surrogate_error, p.c.candidate).limit(limit).offset(offset)
    chosen = page.subquery()
    rows = connection.execute(
        select(p, c.c.description, c.c.round.label("proposed"))
        .join(
            chosen, and_(chosen.c.candidate == p.c.candidate, chosen.c.surrogate == p.c.surrogate)
        )
        .join(c, and_(c.c.campaign == p.c.campaign, c.c.key == p.c.candidate))
        .where(p.c.campaign == campaign)
        .order_by(p.c.surrogate_error, p.c.candidate)
    ).all()
    keys = [row.candidate for row in rows]
    s, lab = t.selections.c, t.labels.c
    selected = set(
        connection.execute(
            select(s.candidate).where(s.campaign == campaign, s.candidate.in_(keys))
        ).scalars()
    )
    sources: dict[str, set[str]] = {}
    for key, source in connection.execute(
        select(lab.candidate, lab.source).where(lab.campaign == campaign, lab.candidate.in_(keys))
    ):
        sources.setdefault(key, set()).add(source)
    return total, [
        ScreenedRow(
            row.candidate, row.description, row.proposed, row.mean, row.std, row.surrogate_error,
            row.candidate in selected, frozenset(sources.get(row.candidate, ())),
        )
        for row in rows
    ]  # fmt: skip


def sample_page(
    connection: Connection,
    campaign: str,
    number: int | None,
    reason: str | None,
    limit: int,
    offset: int,
) -> tuple[int, list[SampleRow]]:
    """Read the count and a page of samples, in order; of one drop reason, or of all."""
    s = t.samples
    where = [] if reason is None else [s.c.drop_reason == reason]
    counted = of_round(select(func.count()).select_from(s), s, campaign, number).where(*where)
    page = of_round(select(s), s, campaign, number).where(*where)
    page = page.order_by(s.c.round, s.c.index).limit(limit).offset(offset)
    rows = connection.execute(page)
    return connection.execute(counted).scalar_one(), [_sample(row) for row in rows]


def candidate_story(connection: Connection, campaign: str, key: str) -> CandidateStory | None:
    """Read everything about a candidate; None where the campaign has no such candidate."""
    c = t.candidates.c
    found = connection.execute(
        select(t.candidates).where(c.campaign == campaign, c.key == key)
    ).one_or_none()
    if found is None:
        return None
    candidate = Candidate(key, found.configuration, found.description, found.asked, found.round)

    def mine(table: Any, column: Any) -> Any:
        return select(table).where(table.c.campaign == campaign, column == key)

    s, p, chosen, lab, f = t.samples, t.predictions, t.selections, t.labels, t.oracle_failures
    samples = connection.execute(
        mine(s, s.c.candidate).where(s.c.round >= found.round).order_by(s.c.round, s.c.index)
    ).all()
    predictions = connection.execute(mine(p, p.c.candidate).order_by(p.c.round)).all()
    selections = connection.execute(mine(chosen, chosen.c.candidate).order_by(chosen.c.round)).all()
    labels = connection.execute(mine(lab, lab.c.candidate).order_by(lab.c.time)).all()
    failures = connection.execute(mine(f, f.c.candidate).order_by(f.c.id)).all()
    keys = [row.oracle_key for row in (*labels, *selections) if row.oracle_key]
    call = None
    if keys:
        row = connection.execute(
            select(t.oracle_calls).where(t.oracle_calls.c.key == keys[0])
        ).one_or_none()
        call = row and Call(row.key, row.oracle, row.state, row.tries, row.seconds)
    return CandidateStory(
        candidate=candidate,
        samples=tuple(_sample(row) for row in samples[:20]),
        repeated=max(len(samples) - 1, 0),
        predictions=tuple(
            (
                r.surrogate,
                r.round,
                Prediction(key, r.mean, r.std, r.surrogate_error, r.out_of_domain),
            )
            for r in predictions
        ),
        selections=tuple((r.round, r.rank, r.reason, r.oracle_key) for r in selections),
        labels=tuple(
            Label(key, found.configuration, Source(r.source), r.properties, r.round,
                  r.oracle_key, r.seconds, r.time)
            for r in labels
        ),
        failures=tuple(Failure(r.round, r.error, r.final, r.seconds, r.time) for r in failures),
        call=call,
    )  # fmt: skip


def _sample(row: Any) -> SampleRow:
    sample = Sample(
        row._mapping["index"], row.asked, row.text, row.finish_reason, row.adapter, row.prompt
    )
    found = CheckedSample(sample, row.checked, row.candidate, row.drop_reason, row.drop_detail)
    return SampleRow(row.round, found)
