"""What can go wrong with the ledger, said so that the reader knows what to do."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from defects.errors import DesignLoopError

#: What the triggers of `guards.py` answer when a finished row would change.
FINISHED_ROW = "finished rows of the ledger never change"

SAFE = "Everything committed before is safe; then `design-loop campaign resume ID`."


class LedgerError(DesignLoopError):
    """The ledger cannot be read or written, or was asked for something it refuses."""


class LedgerUnavailableError(LedgerError):
    """The ledger cannot be written just now: locked, its disk full, its server away."""


class LeaseHeldError(LedgerError):
    """Another driver works on the campaign."""


class LeaseLostError(LedgerError):
    """This driver's lease ran out and another driver took the campaign over."""


class TransitionError(LedgerError):
    """What was asked for makes no sense in the state that the campaign is in."""


class Suspended(DesignLoopError):
    """The campaign is left at a safe point; the step at work goes on where it was.

    Raised inside a step it leaves the step pending, with all that was committed meanwhile.
    """


class Waiting(Suspended):
    """The campaign waits for labels that somebody imports."""


# (part of the database's message, what happened, what to do), in order of precedence.
_KNOWN = (
    (
        "disk is full",
        "no space is left for the ledger",
        f"Free some space on that disk. {SAFE}",
    ),
    (
        "disk i/o error",
        "the disk of the ledger refused a write (full, over quota, or failing)",
        f"Free some space or move the work folder to a sound disk. {SAFE}",
    ),
    (
        "no space left",
        "no space is left for the ledger",
        f"Free some space on the database's disk. {SAFE}",
    ),
    (
        "database is locked",
        "another process kept the ledger locked",
        f"Close what holds it open for writing (a sqlite3 shell, a backup). {SAFE}",
    ),
    (
        "locking protocol",
        "the ledger's file system cannot lock files (often a network drive)",
        "Use a local work folder, or PostgreSQL with --store postgresql://...",
    ),
    (
        "readonly database",
        "the ledger cannot be written",
        "Check the rights of the file and of its folder (SQLite also writes beside the file).",
    ),
    (
        "unable to open database file",
        "the ledger cannot be opened",
        "Check that the folder exists and may be written.",
    ),
    (
        "not a database",
        "the file is not an SQLite database",
        "Point --store or --workdir at a ledger of design-loop.",
    ),
    (
        "malformed",
        "the ledger's file is damaged",
        "Copy it away, then recover it with `sqlite3 FILE .recover | sqlite3 NEW`.",
    ),
    (
        "connection",
        "the database did not answer",
        f"Check that the server runs and that address, user and password are right. {SAFE}",
    ),
)

#: What may be over in a while, when somebody has freed space or a lock.
_PASSING = {"disk is full", "disk i/o error", "no space left", "database is locked", "connection"}


def explain(error: SQLAlchemyError, where: str) -> LedgerError:
    """Turn an error of the database into one that tells what to do.

    Parameters
    ----------
    error
        What SQLAlchemy raised.
    where
        The ledger's address, without a password.

    Returns
    -------
    LedgerError
        To be raised ``from error``.
    """
    cause = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    lowered = cause.lower()
    if FINISHED_ROW in lowered:
        return LedgerError(
            f"{where}: {FINISHED_ROW}: {first_line(cause)}. Nothing was written; "
            "this is a fault of the program, please report it."
        )
    if isinstance(error, IntegrityError):
        return LedgerError(
            f"{where}: a row contradicts what is recorded already ({first_line(cause)}). "
            "Nothing was written; this is a fault of the program, please report it."
        )
    for part, happened, advice in _KNOWN:
        if part in lowered:
            kind = LedgerUnavailableError if part in _PASSING else LedgerError
            return kind(f"{where}: {happened} ({first_line(cause)}). {advice}")
    return LedgerError(f"{where}: the database refused: {first_line(cause)}. {SAFE}")


def first_line(text: str) -> str:
    """Return the first line of a database's message; the rest is for its own logs."""
    return text.splitlines()[0] if text else "no message"
