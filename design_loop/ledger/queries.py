"""What can be read from the ledger, each inside a read of the caller."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    exists,
    func,
    or_,
    select,
)

from design_loop.ledger import tables as t
from design_loop.ledger.records import (
    CallFailure,
    CheckedSample,
    Funnel,
    Label,
    PendingCall,
    Prediction,
    QuarantinedCall,
    Round,
    Sample,
    Step,
    Verified,
)
from design_loop.ledger.records import Candidate as CandidateRecord
from design_loop.ledger.states import CallState, Source, StepState
from design_loop.ledger.steering_records import Amendment, Inherited


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
    """Read (surrogate version, prediction): by round, the smallest surrogate error first."""
    c = t.predictions.c
    rows = connection.execute(
        of_round(select(t.predictions), t.predictions, campaign, number).order_by(
            c.round, c.surrogate_error, c.candidate
        )
    )
    return [(row.surrogate, _prediction(row)) for row in rows]


def pending_calls(
    connection: Connection,
    campaign: str,
    number: int,
    stage: int = 1,
    source: Source = Source.ORACLE,
) -> list[PendingCall]:
    """Read what was chosen for a stage of the oracle and still waits for its label, best first.

    That is what the round chose, and of earlier rounds what was let out of quarantine.
    """
    table = t.selections if stage == 1 else t.stage_calls
    s, c, k, f = table.c, t.candidates.c, t.oracle_calls.c, t.oracle_failures.c
    labelled = exists().where(
        t.labels.c.campaign == s.campaign,
        t.labels.c.candidate == s.candidate,
        t.labels.c.source == source,
    )
    given_up = exists().where(
        f.campaign == s.campaign,
        f.candidate == s.candidate,
        f.oracle_key == s.oracle_key,
        f.final,
        f.id > func.coalesce(k.forgiven, 0),
    )
    statement = (
        select(s.candidate, c.configuration, s.oracle_key, s.rank, k.tries, k.state, k.error)
        .join_from(table, t.candidates, and_(c.campaign == s.campaign, c.key == s.candidate))
        .join(t.oracle_calls, k.key == s.oracle_key)
        .where(
            s.campaign == campaign,
            or_(s.round == number, and_(s.round < number, k.forgiven.is_not(None))),
            ~labelled,
            ~given_up,
        )
        .order_by(s.round.desc(), s.rank)
    )
    if stage > 1:
        statement = statement.where(s.stage == stage)
    return [
        PendingCall(*row[:5], row.error if row.state == CallState.QUARANTINED else None)
        for row in connection.execute(statement)
    ]


def quarantined(connection: Connection, campaign: str) -> list[QuarantinedCall]:
    """Read the calls of a campaign that are in quarantine, each with its last failure."""
    f, k = t.oracle_failures.c, t.oracle_calls.c
    last = (
        select(func.max(f.id))
        .where(f.campaign == campaign, f.final)
        .group_by(f.candidate, f.oracle_key)
    )
    statement = (
        select(t.oracle_failures, k.tries)
        .join_from(t.oracle_failures, t.oracle_calls, k.key == f.oracle_key)
        .where(f.id.in_(last), k.state == CallState.QUARANTINED)
        .order_by(f.id)
    )
    return [
        QuarantinedCall(
            r.candidate,
            r.oracle_key,
            r.round,
            r.tries,
            CallFailure(r.error, r.final, r.seconds, r.kind, r.traceback),
            r.time,
        )
        for r in connection.execute(statement)
    ]


def finished_elsewhere(
    connection: Connection,
    campaign: str,
    number: int,
    stage: int = 1,
    source: Source = Source.ORACLE,
) -> list[tuple[str, str, dict[str, float], float | None]]:
    """Read (candidate, oracle key, result, seconds) of pending calls whose result is known."""
    waiting = pending_calls(connection, campaign, number, stage, source)
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
    return [label_of(row) for row in rows]


def verified(connection: Connection, campaign: str) -> list[Verified]:
    """Read every candidate with an oracle label, with the prediction it was selected by."""
    known = {c.key: c for c in candidates(connection, campaign, None)}
    # What was selected is predicted no more: the last prediction is the one it was selected by.
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


def first_predictions() -> ColumnElement[bool]:
    """Of predictions those that a candidate got in its own round: every candidate once."""
    p, c = t.predictions.c, t.candidates.c
    own = and_(c.campaign == p.campaign, c.key == p.candidate, c.round == p.round)
    return select(c.key).where(own).correlate(t.predictions).exists()


def found_earlier() -> ColumnElement[bool]:
    """Of selections those of candidates that an earlier round found."""
    s, c = t.selections.c, t.candidates.c
    earlier = and_(c.campaign == s.campaign, c.key == s.candidate, c.round < s.round)
    return select(c.key).where(earlier).correlate(t.selections).exists()


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
        predicted=count(t.predictions, first_predictions()),
        selected=count(t.selections),
        verified=count(t.labels, t.labels.c.source == Source.ORACLE),
        failed=connection.execute(failed).scalar_one(),
        earlier=count(t.selections, found_earlier()),
    )


def amendments(connection: Connection, campaign: str) -> list[Amendment]:
    """Read what was changed after a campaign's start, in order."""
    c = t.amendments.c
    statement = select(t.amendments).where(c.campaign == campaign).order_by(c.number)
    rows = connection.execute(statement)
    return [
        Amendment(r.number, r.time, r.rounds, r.budget, r.by, r.stage or 1, r.first_round or 1)
        for r in rows
    ]


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
    return Prediction(row.candidate, row.mean, row.std, row.surrogate_error, row.out_of_domain)


def label_of(row: Row[Any]) -> Label:
    """The label of a row that has its columns, the candidate's configuration among them."""
    return Label(
        candidate=row.candidate,
        configuration=row.configuration,
        source=Source(row.source),
        properties=row.properties,
        round=row.round,
        oracle_key=row.oracle_key,
        seconds=row.seconds,
        time=row.time,
        origin=row.origin,
    )
