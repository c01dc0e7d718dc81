"""Changes of the ledger's layout, one after the other, run by Alembic from inside the program.

A revision is a file ``versions/rNNNN_what.py`` with the number after the last one; see
`design_loop.ledger.migrations.versions`. Users need no ``alembic.ini``: `migrate` gives Alembic an
open connection and the revision to reach.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

FOLDER = Path(__file__).parent
VERSION_TABLE = "ledger_version"


def revisions() -> tuple[str, ...]:
    """Return the numbers of all revisions, oldest first, without loading Alembic."""
    return tuple(sorted(path.stem[1:5] for path in (FOLDER / "versions").glob("r[0-9]*.py")))


def head() -> str:
    """Return the revision of the layout that this program works with."""
    return revisions()[-1]


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring a ledger from the revision it names to a later one.

    Parameters
    ----------
    connection
        Inside a transaction of the caller, who commits it. On SQLite without the enforcement of
        foreign keys (`Database` sees to that): tables that are rebuilt are dropped on the way.
    revision
        Where to stop.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)

    def steps(found: tuple[str, ...], _context: object) -> list:
        return scripts._upgrade_revs(revision, found)

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=revision) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE)
        environment.run_migrations()
