"""Inserts and the few updates that the ledger knows, each inside a transaction of the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Row, and_, bindparam, delete, select, update

from design_loop.ledger import tables as t
from design_loop.ledger.database import insert_missing
from design_loop.ledger.errors import LedgerError
from design_loop.ledger.names import campaign_id, campaign_versions
from design_loop.ledger.records import (
    Adapter,
    CallFailure,
    Candidate,
    Check,
    Prediction,
    Sample,
    Selection,
    Surrogate,
)
from design_loop.ledger.states import CallState, CampaignState, Source


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


class Config(Protocol):
    """What the ledger needs of a campaign's configuration."""

    name: str
    seed: int

    @property
    def content_hash(self) -> str: ...

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


def add_campaign(
    connection: Connection,
    config: Config,
    workdir: str | Path,
    versions: Mapping[str, str] | None,
) -> str:
    """Record a new campaign and return its id."""
    moment = now()
    row = {
        "name": config.name,
        "config": config.model_dump(mode="json"),
        "config_hash": config.content_hash,
        "seed": config.seed,
        "workdir": str(Path(workdir).absolute()),
        "versions": dict(campaign_versions() if versions is None else versions),
        "created": moment,
        "updated": moment,
        "state": CampaignState.CREATED,
    }
    for bump in range(1000):
        name = campaign_id(config.name, moment, bump)
        if insert_missing(connection, t.campaigns, row | {"id": name}):
            return name
    raise LedgerError(f"{config.name}: a thousand campaigns began this minute; wait a moment")


def add_samples(
    connection: Connection, campaign: str, number: int, samples: Sequence[Sample]
) -> None:
    """Record the raw answers of a round."""
    rows = []
    for sample in samples:
        row = {"campaign": campaign, "round": number, "checked": False} | asdict(sample)
        # PostgreSQL's text knows no NUL, and a model may write one.
        row["text"] = sample.text.replace("\x00", "\ufffd")
        rows.append(row)
    if rows:
        connection.execute(t.samples.insert(), rows)


def add_checks(
    connection: Connection,
    campaign: str,
    number: int,
    checks: Sequence[Check],
    candidates: Sequence[Candidate],
) -> None:
    """Record the new candidates of a round and what became of every one of its samples.

    Raises
    ------
    LedgerError
        Some sample of the round has no check, or a check has no sample: a drop without a reason
        would vanish from the funnel.
    """
    here = and_(t.samples.c.campaign == campaign, t.samples.c.round == number)
    indices = set(connection.execute(select(t.samples.c.index).where(here)).scalars())
    given = [check.index for check in checks]
    if set(given) != indices or len(given) != len(indices):
        raise LedgerError(
            f"round {number}: {len(indices)} samples but {len(given)} checks; every sample needs "
            "exactly one"
        )
    rows = [{"campaign": campaign} | asdict(c) | {"round": number} for c in candidates]
    if rows:
        connection.execute(t.candidates.insert(), rows)
    if not checks:
        return
    statement = (
        update(t.samples)
        .where(here, t.samples.c.index == bindparam("at"))
        .values(
            checked=True,
            candidate=bindparam("to_candidate"),
            drop_reason=bindparam("reason"),
            drop_detail=bindparam("detail"),
        )
    )
    connection.execute(
        statement,
        [
            {
                "at": check.index,
                "to_candidate": check.candidate,
                "reason": check.drop_reason,
                "detail": check.drop_detail,
            }
            for check in checks
        ],
    )


def add_predictions(
    connection: Connection,
    campaign: str,
    number: int,
    surrogate: str,
    predictions: Sequence[Prediction],
) -> None:
    """Record what one version of the surrogate says of candidates."""
    rows = [
        {
            "campaign": campaign,
            "round": number,
            "surrogate": surrogate,
            "candidate": p.candidate,
            "mean": numbers(p.candidate, p.mean),
            "std": numbers(p.candidate, p.std),
            "surrogate_error": float(p.surrogate_error),
            "out_of_domain": p.out_of_domain,
        }
        for p in predictions
    ]
    if rows:
        connection.execute(t.predictions.insert(), rows)


def add_selections(
    connection: Connection,
    campaign: str,
    number: int,
    selections: Sequence[Selection],
    oracle: Mapping[str, Any],
) -> None:
    """Record the chosen candidates, and their oracle calls where no campaign made them before."""
    configurations = configurations_of(connection, campaign, [s.candidate for s in selections])
    for selection in selections:
        if selection.oracle_key is not None:
            add_call(connection, selection.oracle_key, oracle, configurations[selection.candidate])
    rows = [{"campaign": campaign, "round": number} | asdict(s) for s in selections]
    if rows:
        connection.execute(t.selections.insert(), rows)


def add_call(
    connection: Connection, key: str, oracle: Mapping[str, Any], configuration: Mapping[str, Any]
) -> None:
    """Record a call to be made, unless some campaign asked for it before."""
    row = {
        "key": key,
        "oracle": dict(oracle),
        "configuration": dict(configuration),
        "created": now(),
        "state": CallState.PENDING,
        "tries": 0,
    }
    insert_missing(connection, t.oracle_calls, row)


def add_oracle_label(
    connection: Connection,
    campaign: str,
    number: int,
    candidate: str,
    oracle_key: str,
    properties: Mapping[str, float],
    seconds: float | None,
    *,
    details: Mapping[str, Any] | None = None,
    source: Source = Source.ORACLE,
) -> bool:
    """Record an oracle's result and label a candidate with it; True if the label is new.

    A result that is there already stays as it is, and the label takes its values from it. `details`
    may name an ``origin``, which the label shows.
    """
    properties = numbers(candidate, properties)
    call = finish_call(connection, oracle_key, properties, seconds, details)
    return insert_missing(
        connection,
        t.labels,
        {
            "campaign": campaign,
            "candidate": candidate,
            "source": source,
            "round": number,
            "properties": dict(call.result),
            "oracle_key": oracle_key,
            "seconds": call.seconds,
            "time": now(),
            "origin": (call.details or {}).get("origin"),
        },
    )


def finish_call(
    connection: Connection,
    oracle_key: str,
    properties: Mapping[str, float],
    seconds: float | None,
    details: Mapping[str, Any] | None,
) -> Row[Any]:
    """Record what came out of a call unless it is done, end its claim, and return its row."""
    call = _call(connection, oracle_key)
    if call.state != CallState.DONE:
        connection.execute(
            update(t.oracle_calls)
            .where(t.oracle_calls.c.key == oracle_key)
            .values(
                state=CallState.DONE,
                tries=t.oracle_calls.c.tries + 1,
                error=None,
                result=dict(properties),
                seconds=seconds,
                finished=now(),
                details=dict(details) if details else None,
            )
        )
        call = _call(connection, oracle_key)
    connection.execute(delete(t.oracle_claims).where(t.oracle_claims.c.key == oracle_key))
    return call


def add_oracle_failure(
    connection: Connection,
    campaign: str,
    number: int,
    candidate: str,
    oracle_key: str,
    failure: CallFailure,
) -> None:
    """Record a failed try; the call stays open, or goes into quarantine, unless it is done."""
    row = asdict(failure) | {
        "campaign": campaign,
        "round": number,
        "candidate": candidate,
        "oracle_key": oracle_key,
        "time": now(),
    }
    connection.execute(t.oracle_failures.insert(), row)
    if _call(connection, oracle_key).state == CallState.PENDING:
        connection.execute(
            update(t.oracle_calls)
            .where(t.oracle_calls.c.key == oracle_key)
            .values(
                state=CallState.QUARANTINED if failure.final else CallState.PENDING,
                tries=t.oracle_calls.c.tries + 1,
                error=failure.error,
            )
        )
    connection.execute(delete(t.oracle_claims).where(t.oracle_claims.c.key == oracle_key))


def add_unverified(
    connection: Connection, campaign: str, number: int, labels: Mapping[str, Mapping[str, float]]
) -> None:
    """Record the surrogate's values as labels of candidates, said to be the surrogate's."""
    for candidate, properties in labels.items():
        row = {
            "campaign": campaign,
            "candidate": candidate,
            "source": Source.SURROGATE,
            "round": number,
            "properties": numbers(candidate, properties),
            "time": now(),
        }
        insert_missing(connection, t.labels, row)


def add_adapter(connection: Connection, campaign: str, number: int, adapter: Adapter) -> None:
    """Record a finished adapter."""
    row = asdict(adapter) | {"campaign": campaign, "round": number, "created": now()}
    connection.execute(t.adapters.insert(), row)


def add_surrogate(connection: Connection, campaign: str, number: int, model: Surrogate) -> None:
    """Record a fitted surrogate; the same version from another round stays as it is."""
    row = asdict(model) | {"campaign": campaign, "round": number, "created": now()}
    insert_missing(connection, t.surrogates, row)


def add_event(
    connection: Connection, campaign: str, number: int | None, level: str, message: str
) -> None:
    """Record a message."""
    row = {"campaign": campaign, "round": number, "time": now(), "level": level, "message": message}
    connection.execute(t.events.insert(), row)


def _call(connection: Connection, oracle_key: str) -> Row[Any]:
    statement = select(t.oracle_calls).where(t.oracle_calls.c.key == oracle_key).with_for_update()
    call = connection.execute(statement).one_or_none()
    if call is None:
        raise LedgerError(f"oracle call {oracle_key}: was never selected, so it has no label")
    return call


def configurations_of(
    connection: Connection, campaign: str, keys: Sequence[str]
) -> dict[str, dict[str, Any]]:
    statement = select(t.candidates.c.key, t.candidates.c.configuration).where(
        t.candidates.c.campaign == campaign, t.candidates.c.key.in_(keys)
    )
    found = {row.key: row.configuration for row in connection.execute(statement)}
    missing = [key for key in keys if key not in found]
    if missing:
        raise LedgerError(f"candidate {missing[0]}: unknown in campaign {campaign}")
    return found


def numbers(candidate: str, properties: Mapping[str, float]) -> dict[str, float]:
    """Return plain floats; numpy's are not JSON's, and what is not finite is no value."""
    numbers = {name: float(value) for name, value in properties.items()}
    bad = [name for name, value in numbers.items() if not isfinite(value)]
    if bad or not numbers:
        what = f"{', '.join(bad)} not a finite number" if bad else "no values"
        raise LedgerError(
            f"candidate {candidate}: {what}; an unusable result is a failure to record"
        )
    return numbers
