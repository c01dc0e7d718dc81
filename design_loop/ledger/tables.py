"""The ledger's tables.

Rows are named by what they are (campaign, round, candidate key), not by running numbers: a driver
that resumes finds every row again from what it knows. Times are UTC. Lengths of time are seconds.

A new ledger is made from this metadata; how an older one becomes the same is said by the revisions
in `migrations`. Their numbers are kept in `ledger_version`, which is Alembic's.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time. SQLite forgets the zone, so it is written as UTC and read back as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone: its meaning would depend on the machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time of the ledger needs a zone: {value!r}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time in UTC, whichever database kept it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _campaign(primary_key: bool = False) -> Column[str]:
    reference = ForeignKey("campaigns.id")
    return Column("campaign", String(80), reference, nullable=False, primary_key=primary_key)


def _round_reference() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["campaign", "round"], ["rounds.campaign", "rounds.number"])


def _candidate_reference() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["campaign", "candidate"], ["candidates.campaign", "candidates.key"]
    )


ledger_version = Table(
    "ledger_version", metadata, Column("version_num", String(32), primary_key=True)
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("config", JSON, nullable=False),
    Column("config_hash", String(64), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("workdir", Text, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("updated", UtcDateTime, nullable=False),
    Column("error", Text),
)

rounds = Table(
    "rounds",
    metadata,
    _campaign(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("adapter", String(128)),
    Column("surrogate", String(128)),
    Column("started", UtcDateTime, nullable=False),
    Column("finished", UtcDateTime),
)

steps = Table(
    "steps",
    metadata,
    _campaign(primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("name", String(32), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started", UtcDateTime),
    Column("finished", UtcDateTime),
    Column("seconds", Float),
    Column("info", JSON, nullable=False),
    Column("error", Text),
    _round_reference(),
)

candidates = Table(
    "candidates",
    metadata,
    _campaign(primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("configuration", JSON, nullable=False),
    Column("description", Text, nullable=False),
    Column("asked", JSON, nullable=False),
    _round_reference(),
    Index(None, "campaign", "round"),
)

samples = Table(
    "samples",
    metadata,
    _campaign(primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("asked", JSON, nullable=False),
    Column("prompt", Text),
    Column("text", Text, nullable=False),
    Column("finish_reason", String(32), nullable=False),
    Column("adapter", String(128), nullable=False),
    Column("arm", Integer),
    # The outcome of the check; written once.
    Column("checked", Boolean, nullable=False, default=False),
    Column("drop_reason", String(32)),
    Column("drop_detail", Text),
    Column("candidate", String(64)),
    _round_reference(),
    _candidate_reference(),
)

surrogates = Table(
    "surrogates",
    metadata,
    _campaign(primary_key=True),
    Column("version", String(128), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    _round_reference(),
)

adapters = Table(
    "adapters",
    metadata,
    _campaign(primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    _round_reference(),
)

predictions = Table(
    "predictions",
    metadata,
    _campaign(primary_key=True),
    Column("candidate", String(64), primary_key=True),
    Column("surrogate", String(128), primary_key=True),
    Column("round", Integer, nullable=False),
    # property -> value; one row per candidate, so that the error is said once.
    Column("mean", JSON, nullable=False),
    Column("std", JSON, nullable=False),
    Column("surrogate_error", Float, nullable=False),
    Column("out_of_domain", Boolean),
    _round_reference(),
    _candidate_reference(),
    ForeignKeyConstraint(["campaign", "surrogate"], ["surrogates.campaign", "surrogates.version"]),
    Index(None, "campaign", "round"),
)

oracle_calls = Table(
    "oracle_calls",
    metadata,
    # Content: structure, calculator, settings, version. Shared by all campaigns of this ledger.
    Column("key", String(128), primary_key=True),
    Column("oracle", JSON, nullable=False),
    Column("configuration", JSON, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", Text),
    Column("result", JSON(none_as_null=True)),
    Column("seconds", Float),
    Column("finished", UtcDateTime),
    # What came out besides the properties: a relaxed structure, who imported it.
    Column("details", JSON(none_as_null=True)),
    # The last failure before the call was let out of quarantine; only later ones count.
    Column("forgiven", Integer),
)

# Who computes a call now; worth as much as the lease that it points to.
oracle_claims = Table(
    "oracle_claims",
    metadata,
    Column("key", String(128), ForeignKey("oracle_calls.key"), primary_key=True),
    _campaign(),
    Column("token", String(64), nullable=False),
    Column("since", UtcDateTime, nullable=False),
)

selections = Table(
    "selections",
    metadata,
    _campaign(primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("candidate", String(64), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("oracle_key", String(128), ForeignKey("oracle_calls.key")),
    Column("parts", JSON),
    _round_reference(),
    _candidate_reference(),
    UniqueConstraint("campaign", "round", "rank"),
)

# What later stages of an oracle were given; the first stage's calls are the selections.
stage_calls = Table(
    "stage_calls",
    metadata,
    _campaign(primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("stage", Integer, primary_key=True, autoincrement=False),
    Column("candidate", String(64), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("oracle_key", String(128), ForeignKey("oracle_calls.key"), nullable=False),
    _round_reference(),
    _candidate_reference(),
)

oracle_failures = Table(
    "oracle_failures",
    metadata,
    Column("id", Integer, primary_key=True),
    _campaign(),
    Column("round", Integer, nullable=False),
    Column("candidate", String(64), nullable=False),
    Column("oracle_key", String(128), ForeignKey("oracle_calls.key"), nullable=False),
    Column("error", Text, nullable=False),
    # Timeout, Crash, OutOfMemory or the name of an exception.
    Column("kind", String(128)),
    Column("traceback", Text),
    # A final failure puts the call into quarantine.
    Column("final", Boolean, nullable=False),
    Column("seconds", Float),
    Column("time", UtcDateTime, nullable=False),
    _round_reference(),
    _candidate_reference(),
    Index(None, "campaign", "round", "candidate"),
)

labels = Table(
    "labels",
    metadata,
    _campaign(primary_key=True),
    Column("candidate", String(64), primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("properties", JSON, nullable=False),
    Column("oracle_key", String(128), ForeignKey("oracle_calls.key")),
    Column("seconds", Float),
    Column("time", UtcDateTime, nullable=False),
    # Who gave it, where that was not the campaign's own oracle: "imported:NAME".
    Column("origin", String(128)),
    _round_reference(),
    _candidate_reference(),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    _campaign(),
    Column("round", Integer),
    Column("time", UtcDateTime, nullable=False),
    Column("level", String(8), nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "campaign", "id"),
)

# What people ask of a driver (pause, stop), until it comes to a safe point and answers.
requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    _campaign(),
    Column("action", String(16), nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("answered", UtcDateTime),
    Column("outcome", String(16)),
    Index(None, "campaign", "id"),
)

# Changes to what a campaign was started with; its configuration itself never changes.
amendments = Table(
    "amendments",
    metadata,
    _campaign(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcDateTime, nullable=False),
    Column("rounds", Integer),  # added
    Column("budget", Integer),  # oracle calls per round of the stage, from its next choice on
    Column("stage", Integer),  # of the oracle, from 1; nothing where there is no budget
    Column("first_round", Integer),  # that the budget counts for: its choice was still to come
    Column("by", Text, nullable=False),
)

# Where a fork comes from.
lineage = Table(
    "lineage",
    metadata,
    _campaign(primary_key=True),
    Column("parent", String(80), ForeignKey("campaigns.id"), nullable=False, index=True),
    Column("rounds", Integer, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("adapter", String(128)),
    Column("surrogate", String(128)),
    Column("time", UtcDateTime, nullable=False),
)

# A fork's own copy of the labels that it began with; `origin` is the campaign that made them.
inherited_labels = Table(
    "inherited_labels",
    metadata,
    _campaign(primary_key=True),
    Column("candidate", String(64), primary_key=True),
    Column("configuration", JSON, nullable=False),
    Column("properties", JSON, nullable=False),
    Column("oracle_key", String(128), ForeignKey("oracle_calls.key")),
    Column("origin", String(80), ForeignKey("campaigns.id"), nullable=False),
)

leases = Table(
    "leases",
    metadata,
    _campaign(primary_key=True),
    Column("token", String(64), nullable=False),
    Column("owner", JSON, nullable=False),
    Column("acquired", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime, nullable=False),
)

# The runs that stand for a campaign (round -1) and its rounds on a tracking server.
tracking_runs = Table(
    "tracking_runs",
    metadata,
    _campaign(primary_key=True),
    Column("server", String(512), primary_key=True),
    Column("experiment", String(256), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("run", String(64), nullable=False),
    # What the run has been told; the same content is not sent again.
    Column("sent", String(64)),
)
