"""What can be asked of the ledger; a report or a dashboard needs no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from sqlalchemy import Connection, select

from design_loop.ledger import queries
from design_loop.ledger import records as rec
from design_loop.ledger import tables as t
from design_loop.ledger.database import Database
from design_loop.ledger.errors import LedgerError
from design_loop.ledger.states import CallState, CampaignState, Source
from design_loop.ledger.steering_records import Amendment, Lineage


class LedgerReader:
    """Read campaigns. Every method sees one state of the ledger.

    Parameters
    ----------
    database
        An opened ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The ledger's address, without a password."""
        return self._database.where

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for the questions of `overviews` and `browsing`: one state for all."""
        with self._database.read() as connection:
            yield connection

    def campaign(self, name: str) -> rec.Campaign:
        """Return the campaign with this id, or the only one whose id begins so."""
        known = {c.id: c for c in self.campaigns()}
        found = (
            [known[name]] if name in known else [c for i, c in known.items() if i.startswith(name)]
        )
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(c.id for c in found[:4])
            raise LedgerError(
                f"{name}: begins the ids of {len(found)} campaigns ({some}); write more"
            )
        some = f"It holds {', '.join(list(known)[:4])}" if known else "It holds none yet"
        raise LedgerError(f"{name}: no such campaign in {self.where}. {some}.")

    def campaigns(self) -> list[rec.Campaign]:
        """Return all campaigns, the newest first."""
        c = t.campaigns.c
        with self._database.read() as connection:
            rows = connection.execute(select(t.campaigns).order_by(c.created.desc(), c.id.desc()))
            return [
                rec.Campaign(**row._asdict() | {"state": CampaignState(row.state)}) for row in rows
            ]

    def rounds(self, campaign: str) -> list[rec.Round]:
        """Return the rounds in order."""
        with self._database.read() as connection:
            return queries.rounds(connection, campaign)

    def steps(self, campaign: str, number: int | None = None) -> list[rec.Step]:
        """Return the steps of a round, or of all, in order."""
        with self._database.read() as connection:
            return queries.steps(connection, campaign, number)

    def pending_oracle(
        self, campaign: str, number: int, stage: int = 1, source: Source = Source.ORACLE
    ) -> list[rec.PendingCall]:
        """Return the round's selected candidates that have neither a label nor a final failure.

        `stage` is the oracle's, `source` what its labels are recorded as.
        """
        with self._database.read() as connection:
            return queries.pending_calls(connection, campaign, number, stage, source)

    def get_oracle_result(self, oracle_key: str) -> dict[str, float] | None:
        """Return the result of a call if any campaign ever finished it."""
        c = t.oracle_calls.c
        with self._database.read() as connection:
            statement = select(c.result).where(c.key == oracle_key, c.state == CallState.DONE)
            return connection.execute(statement).scalar_one_or_none()

    def known_keys(self, campaign: str) -> set[str]:
        """Return the canonical keys of all candidates of a campaign."""
        with self._database.read() as connection:
            c = t.candidates.c
            return set(connection.execute(select(c.key).where(c.campaign == campaign)).scalars())

    def samples(self, campaign: str, number: int) -> list[rec.CheckedSample]:
        """Return the raw answers of a round with what became of them."""
        with self._database.read() as connection:
            return queries.samples(connection, campaign, number)

    def candidates(self, campaign: str, number: int | None = None) -> list[rec.Candidate]:
        """Return the candidates of a round, or of all."""
        with self._database.read() as connection:
            return queries.candidates(connection, campaign, number)

    def predictions(
        self, campaign: str, number: int | None = None
    ) -> list[tuple[str, rec.Prediction]]:
        """Return (surrogate version, prediction): by round, the smallest surrogate error first.

        A candidate of an earlier round that no call was spent on may be predicted again.
        """
        with self._database.read() as connection:
            return queries.predictions(connection, campaign, number)

    def selections(self, campaign: str, number: int) -> list[rec.Selection]:
        """Return a round's selection by rank."""
        c = t.selections.c
        with self._database.read() as connection:
            rows = connection.execute(
                queries.of_round(select(t.selections), t.selections, campaign, number).order_by(
                    c.rank
                )
            )
            return [
                rec.Selection(r.candidate, r.rank, r.reason, r.oracle_key, r.parts or {})
                for r in rows
            ]

    def labels(
        self, campaign: str, source: Source | None = None, number: int | None = None
    ) -> list[rec.Label]:
        """Return labels in the order in which they came."""
        with self._database.read() as connection:
            return queries.labels(connection, campaign, source, number)

    def verified(self, campaign: str) -> list[rec.Verified]:
        """Return every candidate that the oracle labelled, with its prediction and selection."""
        with self._database.read() as connection:
            return queries.verified(connection, campaign)

    def amendments(self, campaign: str) -> list[Amendment]:
        """Return the amendments of a campaign in order."""
        with self._database.read() as connection:
            return queries.amendments(connection, campaign)

    def lineage(self, campaign: str) -> Lineage | None:
        """Return where a campaign comes from; None for one that is no fork."""
        with self._database.read() as connection:
            statement = select(t.lineage).where(t.lineage.c.campaign == campaign)
            row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        return Lineage(row.parent, row.rounds, row.labels, row.adapter, row.surrogate, row.time)

    def adapters(self, campaign: str) -> list[rec.Adapter]:
        """Return the finished adapters, oldest first."""
        c = t.adapters.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.adapters).where(c.campaign == campaign).order_by(c.round, c.created)
            )
            return [rec.Adapter(r.name, r.path, r.manifest, r.round) for r in rows]

    def surrogates(self, campaign: str) -> list[rec.Surrogate]:
        """Return the fitted surrogates, oldest first."""
        c = t.surrogates.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.surrogates).where(c.campaign == campaign).order_by(c.round, c.created)
            )
            return [rec.Surrogate(r.version, r.path, r.manifest, r.round) for r in rows]

    def funnel(self, campaign: str, number: int | None = None) -> rec.Funnel:
        """Count how many samples of a round, or of all, came how far."""
        with self._database.read() as connection:
            return queries.funnel(connection, campaign, number)

    def events(self, campaign: str, after: int = 0) -> list[rec.Event]:
        """Return the messages whose id is greater than `after`, in order."""
        c = t.events.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(t.events).where(c.campaign == campaign, c.id > after).order_by(c.id)
            )
            return [rec.Event(r.id, r.time, r.level, r.message, r.round) for r in rows]
