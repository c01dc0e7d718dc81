"""A finding: what was seen, how bad it is, what mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass
class Finding:
    """One thing that was seen.

    Attributes
    ----------
    check : str
        Which examination saw it, such as ``lease``.
    severity : Severity
        An error keeps the campaign from going on or means that something recorded is lost.
    what : str
        What was found, in a line.
    advice : str
        What to do about it; empty where nothing is to be done.
    mend : callable or None
        Does it, where the program can.
    remedy : str
        What that does, in the past tense.
    mended : bool
        Whether it was done.
    """

    check: str
    severity: Severity
    what: str
    advice: str = ""
    mend: Callable[[], object] | None = field(default=None, repr=False)
    remedy: str = ""
    mended: bool = False

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "what": self.what,
            "advice": self.advice,
            "fixable": self.mend is not None,
            "mended": self.remedy if self.mended else None,
        }
