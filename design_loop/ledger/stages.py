"""Later stages of an oracle, and labels that come from outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, exists, func, select

from design_loop.ledger import queries, writes
from design_loop.ledger import records as rec
from design_loop.ledger import tables as t
from design_loop.ledger.reader import LedgerReader
from design_loop.ledger.states import CallState, Source


class LedgerStages(LedgerReader):
    """What later stages are given, and what is imported."""

    def _write(self, campaign: str) -> AbstractContextManager[Connection]:
        """A write that checks the lease, where this process holds one."""
        raise NotImplementedError

    def stage_calls(self, campaign: str, number: int, stage: int) -> list[rec.StageCall]:
        """Return what a later stage was given in a round, by rank."""
        with self._database.read() as connection:
            return _stage_calls(connection, campaign, number, stage)

    def choose_stage(
        self,
        campaign: str,
        number: int,
        stage: int,
        calls: Sequence[rec.StageCall],
        oracle: Mapping[str, Any],
    ) -> list[rec.StageCall]:
        """Record what a later stage is given, once: a choice that is there stays, and is returned.

        Parameters
        ----------
        campaign, number, stage
            Which; the second stage is 2.
        calls
            In the order of their ranks.
        oracle
            Kind and settings of the stage.
        """
        with self._write(campaign) as connection:
            known = _stage_calls(connection, campaign, number, stage)
            if known or not calls:
                return known
            keys = [call.candidate for call in calls]
            configurations = writes.configurations_of(connection, campaign, keys)
            for call in calls:
                writes.add_call(connection, call.oracle_key, oracle, configurations[call.candidate])
            connection.execute(
                t.stage_calls.insert(),
                [
                    {"campaign": campaign, "round": number, "stage": stage,
                     "candidate": call.candidate, "rank": call.rank, "reason": call.reason,
                     "oracle_key": call.oracle_key}
                    for call in calls
                ],
            )  # fmt: skip
            return list(calls)

    def external_calls(self, campaign: str) -> dict[str, rec.ExternalCall]:
        """Return the open calls whose labels come from outside: candidate -> call."""
        with self._database.read() as connection:
            return _external(connection, campaign)

    def import_label(
        self,
        campaign: str,
        candidate: str,
        properties: Mapping[str, float],
        origin: str,
        details: Mapping[str, Any] | None = None,
    ) -> bool:
        """Record a label from outside as the campaign's verified one; False if there is one.

        Where the campaign waits for it, it answers that call, for all campaigns of this ledger.
        """
        with self._write(campaign) as connection:
            call = _external(connection, campaign).get(candidate)
            kept = {**(details or {}), "origin": origin}
            if call is not None:
                return writes.add_oracle_label(
                    connection, campaign, call.round, candidate, call.oracle_key, properties,
                    None, details=kept,
                )  # fmt: skip
            known = t.labels.c
            labelled = select(known.candidate).where(
                known.campaign == campaign,
                known.candidate == candidate,
                known.source == Source.ORACLE,
            )
            if connection.execute(labelled).first() is not None:
                return False
            c = t.rounds.c
            last = select(func.max(c.number)).where(c.campaign == campaign)
            number = connection.execute(last).scalar_one() or 0
            # Nobody asked for it: an answer to a call of its own keeps what came beside it.
            key = f"imported:{campaign}:{candidate}"
            configuration = writes.configurations_of(connection, campaign, [candidate])[candidate]
            writes.add_call(connection, key, {"kind": "imported", "name": origin}, configuration)
            return writes.add_oracle_label(
                connection, campaign, number, candidate, key, properties, None, details=kept
            )

    def call_details(self, keys: Collection[str]) -> dict[str, Mapping[str, Any]]:
        """Return what calls found besides properties, where there is any: oracle key -> details."""
        c = t.oracle_calls.c
        statement = select(c.key, c.details).where(c.key.in_(keys), c.details.is_not(None))
        with self._database.read() as connection:
            return {row.key: row.details for row in connection.execute(statement)}


def _stage_calls(
    connection: Connection, campaign: str, number: int, stage: int
) -> list[rec.StageCall]:
    table = t.stage_calls
    rows = connection.execute(
        queries.of_round(select(table), table, campaign, number)
        .where(table.c.stage == stage)
        .order_by(table.c.rank)
    )
    return [rec.StageCall(r.candidate, r.rank, r.reason, r.oracle_key) for r in rows]


def _external(connection: Connection, campaign: str) -> dict[str, rec.ExternalCall]:
    """Calls of oracle kind external that are still open, the latest round's of a candidate."""
    calls, f = t.oracle_calls.c, t.oracle_failures.c
    found: dict[str, rec.ExternalCall] = {}
    for table in (t.selections, t.stage_calls):
        statement = (
            select(table.c.candidate, table.c.round, table.c.oracle_key, calls.oracle)
            .join(t.oracle_calls, calls.key == table.c.oracle_key)
            .where(
                table.c.campaign == campaign,
                calls.state != CallState.DONE,
                ~exists().where(
                    f.campaign == table.c.campaign,
                    f.candidate == table.c.candidate,
                    f.oracle_key == table.c.oracle_key,
                    f.final,
                    f.id > func.coalesce(calls.forgiven, 0),
                ),
            )
            .order_by(table.c.round)
        )
        for row in connection.execute(statement):
            if row.oracle.get("kind") == "external":
                found[row.candidate] = rec.ExternalCall(row.round, row.oracle_key)
    return found
