"""Steps 1 and 2 of a round: sample answers from the language model, and read them."""

from __future__ import annotations

from collections import Counter

from defects.asking import draw_asked
from defects.errors import ModelError, ParseError
from defects.text import build_prompt, parse_answer
from defects.text import longest_answer as longest_text
from design_loop.campaign.context import Context
from design_loop.ledger import Candidate, Check, Sample
from design_loop.ledger.steps import StepRun
from serve.constraints import constraint_of

#: Prompts between two advances of the progress display.
_BATCH = 16


def generate(context: Context, number: int, run: StepRun) -> None:
    """Step 1: sample candidates from instructions, with the adapter of this round."""
    config = context.config.generation
    [adapter] = [r.adapter for r in context.ledger.rounds(context.id) if r.number == number]
    if adapter is None:
        raise ModelError(f"round {number} has no adapter: the round before did not finish")
    run.info["probe"] = prove_live(context, number, adapter)

    rng = context.rng(number, 1)
    known = context.known_properties()
    n_prompts = -(-config.samples // config.per_prompt)
    asked = [
        draw_asked(context.config.targets, known, rng, config.target_jitter)
        for _ in range(n_prompts)
    ]
    requests = [context.request(a, i, number) for i, a in enumerate(asked)]
    prompts = [build_prompt(request, config.format) for request in requests]
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        context.progress.step_advanced(
            min(done * config.per_prompt, config.samples), config.samples
        )

    answers = context.services.sample(
        prompts,
        adapter,
        n=config.per_prompt,
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_tokens or longest_answer(context),
        seed=int(context.rng(number, 2).integers(2**31)),
        constraints=[constraint_of(r, config.format) for r in requests]
        if config.constrained
        else None,
        prompts_per_request=_BATCH,
        on_done=advance,
    )
    samples = [
        Sample(
            index=i * config.per_prompt + j,
            asked=asked[i],
            text=answer.text,
            finish_reason=answer.finish_reason,
            adapter=adapter,
            prompt=prompts[i] if j == 0 and config.format == "compact" else None,
        )
        for i, of_prompt in enumerate(answers)
        for j, answer in enumerate(of_prompt)
    ][: config.samples]
    run.record_samples(samples)
    run.info["samples"] = len(samples)
    run.info["tokens"] = sum(a.tokens for of_prompt in answers for a in of_prompt)
    run.info["adapter"] = adapter


def prove_live(context: Context, number: int, adapter: str) -> dict:
    """Show that the answers come from this round's adapter, not from the one before.

    The same greedy answer with the same log-probability as the previous round's adapter (the base
    model in round 1) means that the new weights never reached the engine.

    Raises
    ------
    ModelError
        When nothing changed.
    """
    asked = draw_asked(context.config.targets, context.known_properties(), context.rng(0, 9))
    prompt = build_prompt(context.request(asked, 0, 0), context.config.generation.format)

    def probe(name: str | None) -> dict:
        [[answer]] = context.services.sample(
            [prompt], name, n=1, temperature=0.0, max_tokens=24, seed=1, logprobs=True
        )
        return {"adapter": name, "text": answer.text, "logprob": answer.logprob}

    rounds = {r.number: r.adapter for r in context.ledger.rounds(context.id)}
    before = probe(rounds.get(number - 1))
    now = probe(adapter)
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


def check(context: Context, number: int, run: StepRun) -> None:
    """Step 2: parse every sample, check it against the rules, drop what is known.

    Duplicates are found by the canonical key under the host's symmetry group. Every drop has its
    reason in the ledger.
    """
    config = context.config.generation
    seen = context.ledger.known_keys(context.id)
    checks: list[Check] = []
    candidates: list[Candidate] = []
    for found in context.ledger.samples(context.id, number):
        sample = found.sample
        request = context.request(sample.asked, sample.index // config.per_prompt, number)
        try:
            if sample.finish_reason == "length":
                raise ParseError("truncated", "the answer was cut at max_tokens")
            configuration = parse_answer(sample.text, request, config.format)
        except ParseError as error:
            checks.append(Check(sample.index, None, error.reason, error.detail))
            continue
        key = configuration.key
        if key in seen:
            checks.append(
                Check(sample.index, key, "duplicate_in_campaign", configuration.description)
            )
        elif key in context.training_keys:
            checks.append(
                Check(sample.index, None, "duplicate_in_training", configuration.description)
            )
        else:
            seen.add(key)
            checks.append(Check(sample.index, key))
            candidates.append(
                Candidate(
                    key, configuration.to_dict(), configuration.description, dict(sample.asked)
                )
            )
    run.record_checks(checks, candidates)
    run.info["candidates"] = len(candidates)
    run.info["drops"] = dict(Counter(c.drop_reason for c in checks if c.drop_reason))
