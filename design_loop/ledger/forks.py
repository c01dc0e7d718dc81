"""Campaigns that begin with what another one found out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from design_loop.ledger import queries, writes
from design_loop.ledger import tables as t
from design_loop.ledger.reader import LedgerReader
from design_loop.ledger.states import Source
from design_loop.ledger.steering_records import Inherited


class LedgerForks(LedgerReader):
    """Fork campaigns, and read what they took over."""

    def fork_campaign(
        self,
        parent: str,
        config: writes.Config,
        workdir: str | Path,
        *,
        adapter: str | None = None,
        surrogate: str | None = None,
        source: Source = Source.ORACLE,
        versions: Mapping[str, str] | None = None,
    ) -> str:
        """Record a new campaign that knows what another one found out, and return its id.

        Every configuration that the oracle labelled in the parent, or that the parent itself
        inherited, becomes known to it. The labels are copied, so that they stay what they were at
        this moment; their oracle calls stay the parent's.

        Parameters
        ----------
        parent
            In whatever state.
        config, workdir, versions
            As in `Ledger.create_campaign`.
        adapter, surrogate
            Names of the parent's models to begin with, instead of making the first ones anew.
        source
            Whose labels the parent learns from.
        """
        with self._database.write() as connection:
            name = writes.add_campaign(connection, config, workdir, versions)
            known = _known(connection, parent, source)
            rounds = connection.execute(
                select(func.max(t.rounds.c.number)).where(t.rounds.c.campaign == parent)
            ).scalar_one()
            row = {"campaign": name, "parent": parent, "rounds": int(rounds or 0),
                   "labels": len(known), "adapter": adapter, "surrogate": surrogate,
                   "time": writes.now()}  # fmt: skip
            connection.execute(t.lineage.insert(), row)
            if known:
                rows = [{"campaign": name, "candidate": key} | known[key] for key in known]
                connection.execute(t.inherited_labels.insert(), rows)
            return name

    def forks(self, campaign: str) -> list[str]:
        """Return the ids of the campaigns that were forked from this one, oldest first."""
        c = t.lineage.c
        with self._database.read() as connection:
            statement = select(c.campaign).where(c.parent == campaign).order_by(c.time)
            return list(connection.execute(statement).scalars())

    def inherited(self, campaign: str) -> list[Inherited]:
        """Return the labels that a fork took over, by key."""
        with self._database.read() as connection:
            return queries.inherited(connection, campaign)


def _known(connection: Connection, parent: str, source: Source) -> dict[str, dict[str, Any]]:
    """What the parent inherited and what was labelled there: key -> columns of a copy."""
    known = {}
    for old in queries.inherited(connection, parent):
        known[old.candidate] = {"configuration": old.configuration, "properties": old.properties,
                                "oracle_key": old.oracle_key, "origin": old.origin}  # fmt: skip
    for label in queries.labels(connection, parent, source, None):
        known[label.candidate] = {"configuration": label.configuration,
                                  "properties": label.properties, "oracle_key": label.oracle_key,
                                  "origin": parent}  # fmt: skip
    return known
