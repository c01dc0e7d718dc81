"""Candidates as selection sees them, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from defects.configuration import Configuration


@dataclass(frozen=True)
class Screened:
    """A candidate with what the surrogate says of it.

    Attributes
    ----------
    key : str
    configuration : Configuration
    mean, std : mapping
        Property -> prediction and spread, in its unit.
    surrogate_error : float
        Distance of `mean` to the targets (`defects.targets.surrogate_error`).
    out_of_domain : bool
        Whether it lies outside of what the surrogate was fitted to: its spread does not hold.
    """

    key: str
    configuration: Configuration
    mean: Mapping[str, float]
    std: Mapping[str, float]
    surrogate_error: float
    out_of_domain: bool = False


@dataclass(frozen=True)
class Score:
    """How a strategy judges a candidate.

    Attributes
    ----------
    order : tuple of float
        Smaller comes first; decides which quantile is kept.
    among : tuple of float
        The order among those that are kept; the same where it is empty.
    parts : mapping
        What the judgement is made of, as plain numbers.
    words : str
        The same for people.
    """

    order: tuple[float, ...]
    parts: Mapping[str, float]
    words: str
    among: tuple[float, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A chosen candidate and why.

    Attributes
    ----------
    key : str
    rank : int
        From 1, in the order chosen.
    reason : str
        For people.
    parts : mapping
        For programs: ``strategy``, ``share`` (``best``, ``explore``, or ``reserve`` for what is
        only taken because nothing else was left), ``place`` in the strategy's order of the
        ``kept`` that the quantile left of ``of`` (or in the exploration's order of ``of``),
        ``nearest``: distance to the nearest one chosen before, ``out_of_domain``, and the
        strategy's own numbers.
    """

    key: str
    rank: int
    reason: str
    parts: Mapping[str, Any] = field(default_factory=dict)
