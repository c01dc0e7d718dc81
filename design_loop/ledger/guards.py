"""Triggers that hold the rule "finished rows never change" inside the database itself.

The store's methods never try; the triggers also stop a future bug, and most of what a hand does at
a database shell. On SQLite ``REPLACE`` takes off the row that is in its way without a trigger,
unless the connection says ``recursive_triggers = ON``: the ledger's own do, a shell's does not, and
nothing in the file can make it. On PostgreSQL ``TRUNCATE`` passes triggers of rows and has one of
its own. Whoever may drop triggers is stopped by nothing.
Written once for both dialects: only the way of raising differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import DDL, Connection, text

from design_loop.ledger.errors import FINISHED_ROW

_FUNCTION = "ledger_refuse_change"


@dataclass(frozen=True)
class Guard:
    """One table's rule: which update is refused.

    Attributes
    ----------
    table
        The guarded table.
    columns
        Columns that never change; empty: any column.
    when
        SQL condition on ``OLD`` under which the update is refused; empty: always.
    """

    table: str
    columns: tuple[str, ...] = ()
    when: str = ""


UPDATE_GUARDS = (
    Guard("campaigns", columns=("id", "name", "config", "config_hash", "seed", "created")),
    Guard("rounds", when="OLD.state = 'done'"),
    Guard("steps", when="OLD.state = 'done'"),
    Guard(
        "samples",
        columns=("round", "index", "asked", "prompt", "text", "finish_reason", "adapter", "arm"),
    ),
    Guard("samples", when="OLD.checked"),
    Guard("oracle_calls", columns=("key", "oracle", "configuration", "created")),
    Guard("oracle_calls", when="OLD.state = 'done'"),
    Guard("candidates"),
    Guard("predictions"),
    Guard("selections"),
    Guard("stage_calls"),
    Guard("labels"),
    Guard("adapters"),
    Guard("surrogates"),
    Guard("oracle_failures"),
    Guard("events"),
    Guard("requests", columns=("id", "campaign", "action", "time", "by")),
    Guard("requests", when="OLD.outcome IS NOT NULL"),
    Guard("amendments"),
    Guard("lineage"),
    Guard("inherited_labels"),
)


def install_guards(connection: Connection) -> None:
    """Create the triggers in a database whose tables exist.

    Parameters
    ----------
    connection
        Inside the transaction that created the tables.
    """
    postgres = connection.dialect.name == "postgresql"
    if postgres:
        connection.execute(
            DDL(
                f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger AS $$ BEGIN "
                f"RAISE EXCEPTION '{FINISHED_ROW}: %%', TG_TABLE_NAME; END $$ LANGUAGE plpgsql"
            )
        )
    for number, guard in enumerate(UPDATE_GUARDS):
        columns = ", ".join(f'"{name}"' for name in guard.columns)
        event = f"UPDATE OF {columns}" if columns else "UPDATE"
        name = f"guard_{guard.table}_update_{number}"
        connection.execute(DDL(_trigger(name, event, guard.table, guard.when, postgres)))
    for table in sorted({guard.table for guard in UPDATE_GUARDS}):
        name = f"guard_{table}_delete"
        connection.execute(DDL(_trigger(name, "DELETE", table, "", postgres)))
        if postgres:
            connection.execute(
                DDL(
                    f"CREATE TRIGGER guard_{table}_truncate BEFORE TRUNCATE ON {table} "
                    f"FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
                )
            )


def remove_guards(connection: Connection) -> None:
    """Take the triggers off while an upgrade rebuilds tables; `install_guards` puts them on again.

    Parameters
    ----------
    connection
        Inside the upgrade's transaction, so that the tables are never seen without them.
    """
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE NOT tgisinternal AND pg_table_is_visible(tgrelid) AND tgname LIKE 'guard\\_%'"
        )
        statement = 'DROP TRIGGER "{}" ON "{}"'
    else:
        query = (
            "SELECT name, tbl_name FROM sqlite_master "
            "WHERE type = 'trigger' AND name LIKE 'guard\\_%' ESCAPE '\\'"
        )
        statement = 'DROP TRIGGER "{}"'
    for names in connection.execute(text(query)).all():
        connection.exec_driver_sql(statement.format(*names))


def _trigger(name: str, event: str, table: str, when: str, postgres: bool) -> str:
    head = f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW"
    if when:
        head += f" WHEN ({when})"
    if postgres:
        return f"{head} EXECUTE FUNCTION {_FUNCTION}()"
    return f"{head} BEGIN SELECT RAISE(ABORT, '{FINISHED_ROW}: {table}'); END"
