"""Errors that a user can act on: what happened, where, and what to do, in a line or two.

The command line prints these without a stack trace; anything else that escapes is a bug.
"""

from __future__ import annotations


class DesignLoopError(Exception):
    """Base of every error that is the user's to mend, not a bug."""


class HostError(DesignLoopError):
    """A host is unknown, or its unit cell cannot be read."""


class RuleError(DesignLoopError):
    """Defect rules contradict themselves or the host."""


class TargetError(DesignLoopError):
    """A target is contradictory or impossible."""


class StructureMismatchError(DesignLoopError):
    """A structure is not the host with point defects on its sites."""


class DatasetError(DesignLoopError):
    """A dataset is missing, truncated or inconsistent."""


class OracleError(DesignLoopError):
    """A label could not be computed for one configuration."""


class ModelError(DesignLoopError):
    """A base model, adapter or surrogate is missing, unfinished or altered."""


class ConfigError(DesignLoopError):
    """A configuration file is not acceptable."""


class ParseError(DesignLoopError):
    """A sampled answer is not a configuration of the host.

    Parameters
    ----------
    reason : str
        One of `defects.text.DROP_REASONS`.
    detail : str
        What exactly was wrong, for the record.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
