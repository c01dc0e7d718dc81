"""Steps 1 and 2 of a round: have candidates proposed, and read the proposals."""

from __future__ import annotations

from collections import Counter

from defects.configuration import Configuration
from defects.errors import ParseError
from design_loop.adaptation.watch import watch_diversity
from design_loop.campaign.context import Context
from design_loop.ledger import Candidate, Check, Sample
from design_loop.ledger.steps import StepRun

#: Why a proposal was dropped that could never be verified: no proposal as far as budgets go.
NOT_IN_TABLE = "not_in_table"


def generate(context: Context, number: int, run: StepRun) -> None:
    """Step 1: the proposals of the campaign's proposer, a language model or another."""
    samples = context.proposer.propose(context, number, run)
    run.record_samples(samples)
    run.info["samples"] = len(samples)
    if not samples:
        message = (
            f"{context.config.proposer.kind} found nothing new to propose; loosen "
            "the rules, or take an oracle that knows more than the dataset"
        )
        run.record_event(message, level="warning")
        context.progress.message("warning", f"round {number}: {message}")


def check(context: Context, number: int, run: StepRun) -> None:
    """Step 2: read every proposal, check it against the rules, drop what is known.

    Duplicates are found by the canonical key under the host's symmetry group. Every drop has its
    reason in the ledger.
    """
    seen = context.ledger.known_keys(context.id)
    earlier = frozenset(seen)
    checks: list[Check] = []
    candidates: list[Candidate] = []
    valid: list[Configuration] = []
    for found in context.ledger.samples(context.id, number):
        judged, candidate = _judge(context, number, found.sample, seen, valid)
        checks.append(judged)
        if candidate is not None:
            seen.add(candidate.key)
            candidates.append(candidate)
    run.record_checks(checks, candidates)
    run.info["candidates"] = len(candidates)
    run.info["drops"] = dict(Counter(c.drop_reason for c in checks if c.drop_reason))
    watch_diversity(context, number, run, valid, earlier)


def _judge(
    context: Context, number: int, sample: Sample, seen: set[str], valid: list[Configuration]
) -> tuple[Check, Candidate | None]:
    """What becomes of a proposal; one that is a configuration is added to `valid`."""
    try:
        configuration = context.proposer.read(context, number, sample)
    except ParseError as error:
        return Check(sample.index, None, error.reason, error.detail), None
    valid.append(configuration)
    key, words = configuration.key, configuration.description
    if not context.domain.labelable(configuration):
        return Check(sample.index, None, NOT_IN_TABLE, words), None
    if key in seen:
        return Check(sample.index, key, "duplicate_in_campaign", words), None
    if context.proposer.novel and key in context.training_keys:
        return Check(sample.index, None, "duplicate_in_training", words), None
    candidate = Candidate(key, configuration.to_dict(), words, dict(sample.asked))
    return Check(sample.index, key), candidate
