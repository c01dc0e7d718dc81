"""Which candidates the oracle sees: strategies that order them, diversity, exploration."""

from design_loop.selection.candidates import Choice, Screened
from design_loop.selection.choose import select
from design_loop.selection.strategies import STRATEGIES

__all__ = ["STRATEGIES", "Choice", "Screened", "select"]
