"""What can be read from the ledger, each inside a read of the caller."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, Table, and_, exists, func, select

from design_loop.ledger import tables as t
from design_loop.ledger.records import (
    Amendment,
    CheckedSample,
    Funnel,
    Inherited,
    Label,
    PendingCall,
    Prediction,
    Round,
    Sample,
    Step,
    Verified,
)
from design_loop.ledger.records import Candidate as CandidateRecord
from design_loop.ledger.states import CallState, Source, StepState


def of_round(statement: Select, table: Table, campaign: str, number: int | None) -> Select:
    """Keep a campaign's rows, or one round's."""
    statement = statement.where(table.c.campaign == campaign)
    return statement if number is None else statement.where(table.c.round == number)


def rounds(connection: Connection, campaign: str) -> list[Round]:
    """Read the rounds in order."""
    c = t.rounds.c
    rows = connection.execute(select(t.rounds).where(c.campaign == campaign).order_by(c.number))
    return [
        Round(r.number, StepState(r.state), r.adapter, r.surrogate, r.started, r.finished)
        for r in rows
    ]


def steps(connection: Connection, campaign: str, number: int | None) -> list[Step]:
    """Read the steps of a round, or of all, in order."""
    c = t.steps.c
    rows = connection.execute(
        of_round(select(t.steps), t.steps, campaign, number).order_by(c.round, c.position)
    )
    return [
        Step(r.round, r.name, StepState(r.state), r.attempts, r.started, r.finished, r.seconds,
                 r.info, r.error)
        for r in rows
    ]  # fmt: skip


def samples(connection: Connection, campaign: str, number: int) -> list[CheckedSample]:
    """Read the samples of a round in their order."""
    rows = connection.execute(
        of_round(select(t.samples), t.samples, campaign, number).order_by(t.samples.c.index)
    )
    return [
        CheckedSample(
            Sample(
                r._mapping["index"], r.asked, r.text, r.finish_reason, r.adapter, r.prompt, r.arm
            ),
            r.checked,
            r.candidate,
            r.drop_reason,
            r.drop_detail,
        )
        for r in rows
    ]


def candidates(connection: Connection, campaign: str, number: int | None) -> list[CandidateRecord]:
    """Read candidates, oldest round first."""
    c = t.candidates.c
    rows = connection.execute(
        of_round(select(t.candidates), t.candidates, campaign, number).order_by(c.round, c.key)
    )
    return [_candidate(row) for row in rows]


def predictions(
    connection: Connection, campaign: str, number: int | None
) -> list[tuple[str, Prediction]]:
    """Read (surrogate version, prediction), the smallest surrogate error first."""
    c = t.predictions.c
    rows = connection.execute(
        of_round(select(t.predictions), t.predictions, campaign, number).order_by(
            c.round, c.surrogate_error, c.candidate
        )
    )
    return [(row.surrogate, _prediction(row)) for row in rows]


def pending_calls(connection: Connection, campaign: str, number: int) -> list[PendingCall]:
    """Read the selected candidates of a round that still wait for a label, best rank first."""
    s, c = t.selections, t.candidates
    failures = t.oracle_failures
    mine = and_(
        failures.c.campaign == s.c.campaign,
        failures.c.round == s.c.round,
        failures.c.candidate == s.c.candidate,
    )
    tries = select(func.count()).where(mine).correlate(s).scalar_subquery()
    statement = (
        of_round(
            select(s.c.candidate, c.c.configuration, s.c.oracle_key, s.c.rank, tries),
            s,
            campaign,
            number,
        )
        .join(c, and_(c.c.campaign == s.c.campaign, c.c.key == s.c.candidate))
        .where(
            s.c.oracle_key.is_not(None),
            ~exists().where(
                t.labels.c.campaign == s.c.campaign,
                t.labels.c.candidate == s.c.candidate,
                t.labels.c.source == Source.ORACLE,
            ),
            ~exists().where(mine, failures.c.final),
        )
        .order_by(s.c.rank)
    )
    return [PendingCall(*row) for row in connection.execute(statement)]


def finished_elsewhere(
    connection: Connection, campaign: str, number: int
) -> list[tuple[str, str, dict[str, float], float | None]]:
    """Read (candidate, oracle key, result, seconds) of pending calls whose result is known."""
    waiting = pending_calls(connection, campaign, number)
    calls = t.oracle_calls.c
    statement = select(calls.key, calls.result, calls.seconds).where(
        calls.key.in_({call.oracle_key for call in waiting}), calls.state == CallState.DONE
    )
    done = {row.key: row for row in connection.execute(statement)}
    return [
        (call.candidate, row.key, row.result, row.seconds)
        for call in waiting
        if (row := done.get(call.oracle_key)) is not None
    ]


def labels(
    connection: Connection, campaign: str, source: Source | None, number: int | None
) -> list[Label]:
    """Read labels in the order in which they came."""
    table, c = t.labels, t.candidates.c
    statement = of_round(select(table, c.configuration), table, campaign, number).join(
        t.candidates, and_(c.campaign == table.c.campaign, c.key == table.c.candidate)
    )
    if source is not None:
        statement = statement.where(table.c.source == source)
    rows = connection.execute(statement.order_by(table.c.time, table.c.candidate))
    return [_label(row) for row in rows]


def verified(connection: Connection, campaign: str) -> list[Verified]:
    """Read every candidate with an oracle label, with the prediction it was selected by."""
    known = {c.key: c for c in candidates(connection, campaign, None)}
    predicted = {p.candidate: (name, p) for name, p in predictions(connection, campaign, None)}
    reasons = {
        row.candidate: row.reason
        for row in connection.execute(of_round(select(t.selections), t.selections, campaign, None))
    }
    found = []
    for label in labels(connection, campaign, Source.ORACLE, None):
        surrogate, prediction = predicted.get(label.candidate, (None, None))
        candidate = known[label.candidate]
        reason = reasons.get(label.candidate)
        found.append(Verified(candidate, label, prediction, surrogate, reason))
    return found


def funnel(connection: Connection, campaign: str, number: int | None) -> Funnel:
    """Count how far the samples of a round or of the whole campaign came."""

    def count(table: Table, *where: Any) -> int:
        statement = of_round(select(func.count()).select_from(table), table, campaign, number)
        return connection.execute(statement.where(*where)).scalar_one()

    reason = t.samples.c.drop_reason
    drops = of_round(select(reason, func.count()), t.samples, campaign, number)
    drops = drops.where(reason.is_not(None)).group_by(reason)
    drops = drops.order_by(func.count().desc(), reason)
    failures = t.oracle_failures.c
    failed = of_round(
        select(func.count(failures.candidate.distinct())), t.oracle_failures, campaign, number
    ).where(failures.final)
    return Funnel(
        samples=count(t.samples),
        checked=count(t.samples, t.samples.c.checked),
        drops={row[0]: row[1] for row in connection.execute(drops)},
        candidates=count(t.candidates),
        predicted=count(t.predictions),
        selected=count(t.selections),
        verified=count(t.labels, t.labels.c.source == Source.ORACLE),
        failed=connection.execute(failed).scalar_one(),
    )


def amendments(connection: Connection, campaign: str) -> list[Amendment]:
    """Read what was changed after a campaign's start, in order."""
    c = t.amendments.c
    statement = select(t.amendments).where(c.campaign == campaign).order_by(c.number)
    rows = connection.execute(statement)
    return [Amendment(r.number, r.time, r.rounds, r.budget, r.by) for r in rows]


def inherited(connection: Connection, campaign: str) -> list[Inherited]:
    """Read the labels that a fork took over, by key."""
    c = t.inherited_labels.c
    rows = connection.execute(
        select(t.inherited_labels).where(c.campaign == campaign).order_by(c.candidate)
    )
    return [
        Inherited(r.candidate, r.configuration, r.properties, r.oracle_key, r.origin) for r in rows
    ]


def _candidate(row: Row[Any]) -> CandidateRecord:
    return CandidateRecord(row.key, row.configuration, row.description, row.asked, row.round)


def _prediction(row: Row[Any]) -> Prediction:
    return Prediction(row.candidate, row.mean, row.std, row.surrogate_error)


def _label(row: Row[Any]) -> Label:
    return Label(
        candidate=row.candidate,
        configuration=row.configuration,
        source=Source(row.source),
        properties=row.properties,
        round=row.round,
        oracle_key=row.oracle_key,
        seconds=row.seconds,
        time=row.time,
    )
