"""Questions of displays: whole campaigns in few statements, however many samples they have.

Each takes a connection of `LedgerReader.reading`, so that several see one state of the ledger.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, func, select

from design_loop.ledger import tables as t
from design_loop.ledger.queries import first_predictions, found_earlier, label_of, of_round
from design_loop.ledger.records import Candidate, Funnel, Label, Prediction
from design_loop.ledger.states import Source


@dataclass(frozen=True)
class Labelled:
    """A candidate with a label and what was predicted of it.

    ``prediction`` is the one it was selected by, else the first; None if there is none.
    """

    candidate: Candidate
    label: Label
    prediction: Prediction | None
    surrogate: str | None


@dataclass(frozen=True)
class Drawn:
    """What was asked for and predicted of a candidate."""

    key: str
    round: int
    asked: Mapping[str, Any]
    mean: Mapping[str, float]
    std: Mapping[str, float]
    surrogate_error: float


@dataclass(frozen=True)
class CampaignCounts:
    """How far a campaign has come: rounds finished, and labels by the oracle or without one."""

    rounds_done: int
    labels: int
    failed: int


def funnels(connection: Connection, campaign: str) -> dict[int, Funnel]:
    """Count how far the samples of every round came; rounds without rows are left out."""
    s = t.samples.c
    rows = connection.execute(
        select(s.round, s.checked, s.drop_reason, func.count())
        .where(s.campaign == campaign)
        .group_by(s.round, s.checked, s.drop_reason)
    )
    samples: dict[int, int] = defaultdict(int)
    checked: dict[int, int] = defaultdict(int)
    drops: dict[int, dict[str, int]] = defaultdict(dict)
    for number, was_checked, reason, count in rows:
        samples[number] += count
        checked[number] += count if was_checked else 0
        if reason is not None:
            drops[number][reason] = count
    found = _by_round(connection, campaign, t.candidates)
    predicted = _by_round(connection, campaign, t.predictions, first_predictions())
    selected = _by_round(connection, campaign, t.selections)
    earlier = _by_round(connection, campaign, t.selections, found_earlier())
    verified = _by_round(connection, campaign, t.labels, t.labels.c.source == Source.ORACLE)
    failed = _failed(connection, campaign)
    numbers = sorted({*samples, *found, *predicted, *selected, *verified, *failed})
    return {
        n: Funnel(
            samples=samples[n],
            checked=checked[n],
            drops=dict(sorted(drops[n].items(), key=lambda item: (-item[1], item[0]))),
            candidates=found.get(n, 0),
            predicted=predicted.get(n, 0),
            selected=selected.get(n, 0),
            verified=verified.get(n, 0),
            failed=failed.get(n, 0),
            earlier=earlier.get(n, 0),
        )
        for n in numbers
    }


def all_funnels(by_round: Mapping[int, Funnel]) -> Funnel:
    """Add up the rounds of a campaign."""
    drops: dict[str, int] = defaultdict(int)
    for funnel in by_round.values():
        for reason, count in funnel.drops.items():
            drops[reason] += count
    counts = ("samples", "checked", "candidates", "predicted", "selected", "verified", "failed",
              "earlier")  # fmt: skip
    return Funnel(
        **{name: sum(getattr(f, name) for f in by_round.values()) for name in counts},
        drops=dict(sorted(drops.items(), key=lambda item: (-item[1], item[0]))),
    )


def labelled(connection: Connection, campaign: str, source: Source) -> list[Labelled]:
    """Read the candidates with a label of this source, in the order in which the labels came."""
    c, row_of = t.candidates, t.labels
    labels = connection.execute(
        select(row_of, c.c.configuration, c.c.description, c.c.asked, c.c.round.label("proposed"))
        .join(c, and_(c.c.campaign == row_of.c.campaign, c.c.key == row_of.c.candidate))
        .where(row_of.c.campaign == campaign, row_of.c.source == source)
        .order_by(row_of.c.time, row_of.c.candidate)
    ).all()
    judged = _judged(connection, campaign, source)
    found = []
    for row in labels:
        surrogate, prediction = judged.get(row.candidate, (None, None))
        candidate = Candidate(
            row.candidate, row.configuration, row.description, row.asked, row.proposed
        )
        found.append(Labelled(candidate, label_of(row), prediction, surrogate))
    return found


def _judged(
    connection: Connection, campaign: str, source: Source
) -> dict[str, tuple[str, Prediction]]:
    """Predictions of the labelled candidates: of the round that selected them, else the first."""
    p, chosen = t.predictions, t.selections.c
    wanted = select(t.labels.c.candidate).where(
        t.labels.c.campaign == campaign, t.labels.c.source == source
    )
    rounds = defaultdict(set)
    for number, key in connection.execute(
        select(chosen.round, chosen.candidate).where(chosen.campaign == campaign)
    ):
        rounds[key].add(number)
    rows = connection.execute(
        select(p).where(p.c.campaign == campaign, p.c.candidate.in_(wanted)).order_by(p.c.round)
    )
    judged: dict[str, tuple[str, Prediction]] = {}
    for row in rows:
        if row.candidate not in judged or row.round in rounds[row.candidate]:
            judged[row.candidate] = (
                row.surrogate,
                Prediction(
                    row.candidate, row.mean, row.std, row.surrogate_error, row.out_of_domain
                ),
            )
    return judged


def drawn_predictions(connection: Connection, campaign: str, limit: int) -> list[Drawn]:
    """Read the first predictions of up to `limit` candidates, drawn evenly from all.

    A candidate's key is the beginning of a SHA-256, so the first keys in order are a fair draw; the
    same ones come again while nothing is added.
    """
    p, c = t.predictions, t.candidates
    rows = connection.execute(
        select(p.c.candidate, p.c.round, c.c.asked, p.c.mean, p.c.std, p.c.surrogate_error)
        .join(c, and_(c.c.campaign == p.c.campaign, c.c.key == p.c.candidate))
        .where(p.c.campaign == campaign, c.c.round == p.c.round)
        .order_by(p.c.candidate, p.c.surrogate)
        .limit(limit)
    )
    first: dict[str, Drawn] = {}
    for row in rows:
        first.setdefault(row.candidate, Drawn(*row))
    return list(first.values())


def campaign_counts(connection: Connection, campaigns: Sequence[str]) -> dict[str, CampaignCounts]:
    """Say how far each of some campaigns has come."""
    r, lab, f = t.rounds.c, t.labels.c, t.oracle_failures.c

    def counted(column: Any, what: Any, *where: Any) -> dict[str, int]:
        statement = select(column, what).where(column.in_(campaigns), *where).group_by(column)
        return _pairs(connection.execute(statement))

    done = counted(r.campaign, func.count(), r.number > 0, r.state == "done")
    labels = counted(lab.campaign, func.count(lab.candidate.distinct()))
    failed = counted(f.campaign, func.count(f.candidate.distinct()), f.final)
    return {
        name: CampaignCounts(done.get(name, 0), labels.get(name, 0), failed.get(name, 0))
        for name in campaigns
    }


def stamp(connection: Connection, campaign: str) -> str:
    """Say in a few digits how a campaign stands; another value means that something changed."""
    c, s = t.campaigns.c, t.steps.c
    facts: list[Any] = []
    for statement in (
        select(c.state, c.error, c.updated).where(c.id == campaign),
        select(s.round, s.name, s.state, s.attempts, s.started, s.finished).where(
            s.campaign == campaign
        ),
        select(func.count()).select_from(t.labels).where(t.labels.c.campaign == campaign),
        select(func.max(t.oracle_failures.c.id)).where(t.oracle_failures.c.campaign == campaign),
        select(func.max(t.events.c.id)).where(t.events.c.campaign == campaign),
        select(func.max(t.amendments.c.number)).where(t.amendments.c.campaign == campaign),
    ):
        facts += [tuple(map(str, row)) for row in connection.execute(statement)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _by_round(connection: Connection, campaign: str, table: Table, *where: Any) -> dict[int, int]:
    statement: Select = select(table.c.round, func.count())
    statement = of_round(statement, table, campaign, None).where(*where)
    return _pairs(connection.execute(statement.group_by(table.c.round)))


def _pairs(rows: Any) -> dict[Any, int]:
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True)
class OracleProgress:
    """Oracle calls that ended, with a label or for good without one.

    ``selected`` and ``finished_here`` are of one round.
    """

    finished: int
    finished_here: int
    selected: int


def oracle_progress(connection: Connection, campaign: str, number: int) -> OracleProgress:
    """Count the oracle calls of a campaign and of one of its rounds."""
    verified = _by_round(connection, campaign, t.labels, t.labels.c.source == Source.ORACLE)
    failed = _failed(connection, campaign)
    s = t.selections
    selected = of_round(select(func.count()).select_from(s), s, campaign, number)
    return OracleProgress(
        finished=sum(verified.values()) + sum(failed.values()),
        finished_here=verified.get(number, 0) + failed.get(number, 0),
        selected=connection.execute(selected).scalar_one(),
    )


def finished_calls(connection: Connection, campaign: str) -> dict[str, datetime]:
    """Return when the calls behind a campaign's labels were computed, by whomever: key -> time."""
    lab, call = t.labels.c, t.oracle_calls.c
    rows = connection.execute(
        select(call.key, call.finished)
        .join(t.labels, lab.oracle_key == call.key)
        .where(lab.campaign == campaign, call.finished.is_not(None))
    )
    return _pairs(rows)


def sharing_calls(connection: Connection, campaign: str) -> list[str]:
    """Return the campaigns, this one among them, with labels from calls behind its own."""
    lab = t.labels.c
    mine = select(lab.oracle_key).where(lab.campaign == campaign, lab.oracle_key.is_not(None))
    statement = select(lab.campaign).where(lab.oracle_key.in_(mine)).distinct()
    return list(connection.execute(statement.order_by(lab.campaign)).scalars())


def lease_expiry(connection: Connection, campaign: str) -> datetime | None:
    """Return until when a driver holds a campaign; None where none does."""
    c = t.leases.c
    return connection.execute(select(c.expires).where(c.campaign == campaign)).scalar_one_or_none()


def _failed(connection: Connection, campaign: str) -> dict[int, int]:
    f = t.oracle_failures.c
    statement = select(f.round, func.count(f.candidate.distinct()))
    return _pairs(
        connection.execute(statement.where(f.campaign == campaign, f.final).group_by(f.round))
    )
