"""The language model: answers to instructions, with the adapter of the round."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from defects.asking import Asking, draw_asked
from defects.configuration import Configuration
from defects.errors import ModelError, ParseError
from defects.text import build_prompt, parse_answer
from defects.text import longest_answer as longest_text
from design_loop.adaptation import Arm, RoundPlan, plan_round
from design_loop.campaign.taught import taught_unlabelled
from design_loop.ledger import Sample
from design_loop.proposers.history import known_keys
from serve.constraints import can_list, constraints_of

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun
    from serve.client import Completion

#: Prompts between two advances of the progress display.
_BATCH = 16
#: With a table as oracle: batches after which fewer countable answers have to do.
_MOST_BATCHES = 8
#: Of these so many under the grammar of the rules, the others under one of the table's rest.
_FREE_BATCHES = 3
#: Most samples of one more batch, in units of the round's.
_MOST_AGAIN = 10
#: Every batch after the first is hotter: a model whose likeliest answers are known says them again.
#: Not where the grammar leaves out what is known.
_HOTTER, _HOTTEST = 1.15, 2.0
#: Between the seeds of two settings of a round, so that they share no random numbers.
_ARM_SEEDS = 7919


@dataclass
class _Answers:
    """Samples so far, and what they cost."""

    samples: list[Sample]
    seen: set[str]
    tokens: int = 0
    countable: int = 0
    batches: list[dict[str, Any]] = field(default_factory=list)


class LlmProposer:
    """Samples candidates from instructions."""

    novel = True
    #: Whether a known answer is changed before it is proposed, and so counts.
    leaves_known = False

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """Sample as many answers as the round may propose.

        With a table as oracle, answers that it could not label, and those that are known already,
        count for nothing: sampling goes on until there are enough others, so that every proposer
        has equally many. The searches draw from the table and leave out what is known. So do the
        last batches here, whose grammar holds nothing else. Not the first: masks are applied
        token by token, which makes an answer likely whose beginning is likely, whatever follows
        (Park et al. 2024, arXiv:2405.21047), where dropping whole answers leaves the model's own
        distribution over the table.
        """
        config = context.config.generation
        [adapter] = [r.adapter for r in context.ledger.rounds(context.id) if r.number == number]
        if adapter is None:
            raise ModelError(f"round {number} has no adapter: the round before did not finish")
        run.info["probe"] = prove_live(context, number, adapter)
        plan = plan_round(context, number)
        run.info["arms"] = [arm.to_dict() for arm in plan.arms]
        run.info["arms_told"] = {"earlier": plan.told, "heat": plan.heat}
        found = _Answers([], known_keys(context))
        taught = taught_unlabelled(context, adapter)
        asking = Asking(context.config.targets, context.known_properties(), taught)
        for batch in range(_MOST_BATCHES if context.domain.table is not None else 1):
            missing = config.samples - found.countable
            if missing <= 0:
                break
            left = _open_members(context, found.seen)
            if left is not None and not left:
                break  # everything that the table holds is known
            among = None
            if left is not None and batch >= _FREE_BATCHES and _can_list(context, left):
                among = left
            # What part of the answers counts is known after the first batch; of those from the
            # table's rest all but repetitions do.
            share = max(found.countable, 1) / len(found.samples) if found.samples else 1.0
            if among is not None:
                share = 0.5
            n = min(round(missing / share), _MOST_AGAIN * config.samples)
            heat = 0 if among is not None else batch
            before, had = found.countable, len(found.samples)
            self._sample(context, number, plan, asking, adapter, n, batch, among, found)
            found.batches.append(
                {
                    "samples": len(found.samples) - had,
                    "countable": found.countable - before,
                    "temperatures": [_heated(arm.temperature, heat) for arm in plan.arms],
                    "among": None if among is None else len(among),
                }
            )
        run.info["tokens"] = found.tokens
        if len(found.batches) > 1:
            run.info["batches"] = found.batches
        run.info["adapter"] = adapter
        return found.samples

    def read(self, context: Context, number: int, sample: Sample) -> Configuration:
        """The configuration that an answer says."""
        config = context.config.generation
        request = context.request(sample.asked, sample.index // config.per_prompt, number)
        if sample.finish_reason == "length":
            raise ParseError("truncated", "the answer was cut at max_tokens")
        return parse_answer(sample.text, request, config.format)

    def _sample(
        self,
        context: Context,
        number: int,
        plan: RoundPlan,
        asking: Asking,
        adapter: str,
        n: int,
        batch: int,
        among: tuple[Configuration, ...] | None,
        found: _Answers,
    ) -> None:
        """Add the answers to one batch of prompts, up to the last that counts."""
        config = context.config.generation
        rng = context.rng(number, 1 if batch == 0 else 100 + batch)
        first = -(-len(found.samples) // config.per_prompt)
        n_prompts = -(-n // config.per_prompt)
        asked = [
            asking.draw(rng, arm.target_jitter, arm.shares)
            for arm in (plan.arm_of(first + i) for i in range(n_prompts))
        ]
        requests = [
            replace(context.request(a, first + i, number), among=among) for i, a in enumerate(asked)
        ]
        prompts = [build_prompt(request, config.format) for request in requests]
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            context.progress.step_advanced(min(done * config.per_prompt, n), n)

        seed = int(context.rng(number, 2).integers(2**31)) + batch

        def answers_of(arm: Arm, mine: list[int]) -> list[list[Completion]]:
            of_arm = [requests[i] for i in mine]
            return context.services.sample(
                [prompts[i] for i in mine],
                adapter,
                n=config.per_prompt,
                temperature=_heated(arm.temperature, 0 if among is not None else batch),
                top_p=arm.top_p,
                max_tokens=config.max_tokens or longest_answer(context),
                seed=(seed + _ARM_SEEDS * arm.index) % 2**31,
                constraints=constraints_of(of_arm, config.format) if config.constrained else None,
                prompts_per_request=_BATCH,
                on_done=advance,
            )

        answers: dict[int, list[Completion]] = {}
        for arm in plan.arms:
            mine = [i for i in range(n_prompts) if plan.arm_of(first + i) is arm]
            if mine:
                answers |= zip(mine, answers_of(arm, mine), strict=True)
        found.tokens += sum(a.tokens for of_prompt in answers.values() for a in of_prompt)
        for i in range(n_prompts):
            for j, answer in enumerate(answers[i]):
                if found.countable >= config.samples:
                    return
                sample = Sample(
                    index=(first + i) * config.per_prompt + j,
                    asked=asked[i],
                    text=answer.text,
                    finish_reason=answer.finish_reason,
                    adapter=adapter,
                    prompt=prompts[i] if j == 0 and config.format == "compact" else None,
                    arm=plan.arm_of(first + i).index,
                )
                found.samples.append(sample)
                found.countable += self._counts(context, number, sample, found.seen)

    def _counts(self, context: Context, number: int, sample: Sample, seen: set[str]) -> bool:
        """Whether an answer is a proposal: all are, but with a table the known and unknowable."""
        if context.domain.table is None:
            return True
        try:
            configuration = self.read(context, number, sample)
        except ParseError:
            return True
        if not context.domain.labelable(configuration):
            return False
        if self.leaves_known:
            return True
        known = configuration.key in seen
        seen.add(configuration.key)
        return not known


def _open_members(context: Context, known: Collection[str]) -> tuple[Configuration, ...] | None:
    """What a table holds and nobody knows; None without a table."""
    listed = context.domain.listed
    return None if listed is None else tuple(c for c in listed if c.key not in known)


def _can_list(context: Context, among: tuple[Configuration, ...]) -> bool:
    """Whether answers can be constrained to these."""
    config = context.config.generation
    request = replace(context.request({}, 0, 0), among=among)
    return config.constrained and can_list(request, config.format)


def _heated(temperature: float, batch: int) -> float:
    """Temperature of a batch; a setting that is hotter than the limit stays as it is."""
    return max(temperature, min(temperature * _HOTTER**batch, _HOTTEST))


def prove_live(context: Context, number: int, adapter: str) -> dict[str, Any]:
    """Show that the answers come from this round's adapter, not from the one before.

    The same greedy answer with the same log-probability as the previous round's adapter (the base
    model in round 1) means that the new weights never reached the engine.

    Raises
    ------
    ModelError
        When nothing changed although the adapter did.
    """
    asked = draw_asked(context.config.targets, context.known_properties(), context.rng(0, 9))
    prompt = build_prompt(context.request(asked, 0, 0), context.config.generation.format)

    def probe(name: str | None) -> dict[str, Any]:
        [[answer]] = context.services.sample(
            [prompt], name, n=1, temperature=0.0, max_tokens=24, seed=1, logprobs=True
        )
        return {"adapter": name, "text": answer.text, "logprob": answer.logprob}

    rounds = {r.number: r.adapter for r in context.ledger.rounds(context.id)}
    now = probe(adapter)
    if rounds.get(number - 1) == adapter:
        return now  # a campaign without feedback keeps its adapter
    before = probe(rounds.get(number - 1))
    if (before["text"], before["logprob"]) == (now["text"], now["logprob"]):
        raise ModelError(
            f"adapter {adapter} answers exactly as {before['adapter'] or 'the base model'} does: "
            "the fine-tuned weights did not reach the engine. Look at its log, then resume"
        )
    return now


def longest_answer(context: Context) -> int:
    """Tokens that the longest right answer may take, with room to be wrong in."""
    fmt = context.config.generation.format
    return longest_text(context.request({}, 0, 0), fmt) + 16
