"""What a proposer is to the loop, and what all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from defects.configuration import Configuration
from defects.text import build_answer, parse_answer
from design_loop.ledger import Sample

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun


class Proposer(Protocol):
    """Step 1 of a round: who says what to look at.

    A proposer keeps nothing between rounds. Whatever it has learnt it reads from the ledger, and
    its random numbers follow from the campaign's seed and the round: a round that is run again
    after a kill gives the same proposals.

    Attributes
    ----------
    novel : bool
        Whether what the dataset holds already is dropped as no discovery.
    """

    novel: bool

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """The proposals of a round: ``generation.samples`` of them, fewer where there are no more.

        ``run.info`` is told what is worth remembering.
        """
        ...

    def read(self, context: Context, number: int, sample: Sample) -> Configuration:
        """The configuration of a proposal.

        Raises
        ------
        ParseError
            When it is none.
        """
        ...


class SearchProposer:
    """Base of the proposers that make configurations and not text.

    A proposal is written down as the right answer in the compact format, so that the record reads
    the same whoever proposed.
    """

    novel = True

    def read(self, context: Context, number: int, sample: Sample) -> Configuration:
        """The configuration of a proposal."""
        return parse_answer(sample.text, context.request({}, 0, number), "compact")


def as_samples(
    context: Context,
    kind: str,
    configurations: Sequence[Configuration],
    notes: Sequence[str | None] | None = None,
) -> list[Sample]:
    """Proposals as rows of the ledger.

    Parameters
    ----------
    context
    kind : str
        Kept where a language model's adapter stands.
    configurations : sequence of Configuration
    notes : sequence of str, optional
        What a proposal came from, kept in the place of its prompt.
    """
    request = context.request({}, 0, 0)
    return [
        Sample(
            index=i,
            asked={},
            text=build_answer(context.domain.placed(c), request, "compact"),
            finish_reason="stop",
            adapter=kind,
            prompt=notes[i] if notes is not None else None,
        )
        for i, c in enumerate(configurations)
    ]
