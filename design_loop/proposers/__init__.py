"""Who proposes candidates: a language model, or one of the methods it is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from design_loop.proposers.base import Proposer

if TYPE_CHECKING:
    from design_loop.config import ProposerConfig

__all__ = ["Proposer", "make_proposer"]


def make_proposer(config: ProposerConfig) -> Proposer:
    """The proposer that a campaign asks for; imports only what that one needs.

    Raises
    ------
    ConfigError
        When a library that it needs is not installed.
    """
    match config.kind:
        case "llm":
            from design_loop.proposers.llm import LlmProposer

            return LlmProposer()
        case "hybrid":
            from design_loop.proposers.hybrid import HybridProposer

            return HybridProposer()
        case "random":
            from design_loop.proposers.random_ import RandomProposer

            return RandomProposer()
        case "genetic":
            from design_loop.proposers.genetic import GeneticProposer

            return GeneticProposer()
        case "tpe":
            from design_loop.proposers.tpe import TpeProposer

            return TpeProposer()
        case "gibbs":
            from design_loop.proposers.gibbs import GibbsProposer

            return GibbsProposer()
        case "nearest":
            from design_loop.proposers.nearest import NearestProposer

            return NearestProposer()
