"""One design request: prompts, samples, the parser, the surrogate, a ranked answer.

What a campaign does in a round without learning, in one HTTP request. The work of the processor
(parsing, comparing under symmetry, writing structures) runs in a thread beside the server's loop.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from defects.asking import draw_asked
from defects.configuration import Configuration
from defects.errors import DesignLoopError, ParseError, RuleError
from defects.hosts import Host
from defects.properties import Property, property_named
from defects.structures import to_structure
from defects.targets import Prospect, prospect, resolved
from defects.text import (
    Frame,
    Request,
    build_prompt,
    default_top_p,
    longest_answer,
    parse_answer,
    random_frame,
)
from serve.constraints import MAX_SITES, can_constrain, constraint_of
from serve.design_schemas import DesignBody
from serve.hosts import HostTable
from serve.replies import Reply, error_reply

PER_PROMPT = 8
"""Samples per prompt; each prompt asks for other values within the targets."""

DUPLICATE = "duplicate_in_request"
DUPLICATE_OF_KNOWN = "duplicate_of_known"
DUPLICATE_IN_TRAINING = "duplicate_in_training"
TRAINING = "training"
"""How an answer names a candidate that the adapter was trained on."""


class Models(Protocol):
    """What a design needs of the backend; see `serve.api.Backend`."""

    async def generate(self, kind: str, body: dict[str, Any], adapter: str | None) -> Reply: ...

    async def predict(self, configurations: list[dict[str, Any]]) -> Reply: ...

    async def surrogate(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Learnt:
    """What an adapter was trained on, and for.

    Attributes
    ----------
    keys : frozenset of str
        Of the configurations that it has seen: what it proposes of these is nothing new.
    own : mapping
        A user's own properties that it can be asked for, with units and decimals.
    """

    keys: frozenset[str] = frozenset()
    own: Mapping[str, Property] = field(default_factory=dict)


NOTHING = Learnt()
"""What the base model was trained for."""


@dataclass
class Found:
    """One class of configurations among the samples."""

    configuration: Configuration
    asked: dict[str, float]
    samples: int = 1
    duplicate_of: str | None = None


@dataclass
class Read:
    """What the samples are."""

    found: list[Found] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    tokens: int = 0


def requests_of(
    body: DesignBody, host: Host, own: Mapping[str, Property] | None = None
) -> list[Request]:
    """The requests behind the prompts: values drawn from the targets, frames at random.

    Parameters
    ----------
    own : mapping, optional
        A user's own properties: prompts write them as the adapter's instructions did.

    Raises
    ------
    RuleError
        Rules that nothing meets, or a host that is too large.
    """
    if not can_constrain(host):
        raise RuleError(f"a host of {host.n_sites} sites is too large (at most {MAX_SITES})")
    rules = body.rules
    rules.validate_for(host)
    rng = np.random.default_rng(body.seed)
    found = []
    for _ in range(-(-body.number_of_samples // PER_PROMPT)):
        asked = draw_asked(body.targets, [], rng)
        frame = random_frame(host, rng) if body.format == "full" else Frame()
        found.append(Request(host, rules, asked, frame, own or {}))
    return found


def completion_body(body: DesignBody, requests: Sequence[Request]) -> dict[str, Any]:
    """The completion request that samples a design's answers."""
    sampling: dict[str, Any] = {
        "model": body.model,
        "prompt": [build_prompt(r, body.format) for r in requests],
        "n": PER_PROMPT,
        "max_tokens": longest_answer(requests[0], body.format) + 16,
        "temperature": body.temperature,
        "top_p": body.top_p or default_top_p(body.format),
        "seed": body.seed,
        "return_token_ids": True,
    }
    if body.constrained:
        sampling["constraint"] = [constraint_of(r, body.format) for r in requests]
    return sampling


def read_samples(
    body: DesignBody, requests: Sequence[Request], known: dict[str, str], answer: dict[str, Any]
) -> Read:
    """Parse, count what is dropped and why, and bring equal configurations together.

    Parameters
    ----------
    known : dict
        Key of a known configuration -> how the answer names it.
    answer : dict
        Of the completion request.
    """
    read = Read(tokens=(answer.get("usage") or {}).get("completion_tokens") or 0)
    first: dict[str, Found] = {}
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    for choice in choices[: body.number_of_samples]:
        request = requests[choice["index"] // PER_PROMPT]
        read.samples += 1
        try:
            if choice.get("finish_reason") == "length":
                raise ParseError("truncated", "the answer was cut at its longest length")
            configuration = parse_answer(choice["text"], request, body.format)
        except ParseError as error:
            read.drops[error.reason] += 1
            continue
        key = configuration.key
        if key in first:
            first[key].samples += 1
            read.drops[DUPLICATE] += 1
            continue
        first[key] = Found(configuration, dict(request.properties), 1, known.get(key))
        if first[key].duplicate_of is not None and not body.duplicates:
            learnt = first[key].duplicate_of == TRAINING
            read.drops[DUPLICATE_IN_TRAINING if learnt else DUPLICATE_OF_KNOWN] += 1
            continue
        read.found.append(first[key])
    return read


def rank(body: DesignBody, read: Read, predictions: dict[str, Any]) -> list[dict[str, Any]]:
    """Candidates in the order in which a campaign selects (`defects.targets.prospect`)."""
    rows: list[tuple[Prospect, Found, dict[str, Any]]] = []
    # No labels are known here: how far properties lie apart is told by the predictions themselves.
    targets = resolved(body.targets, [p["mean"] for p in predictions["predictions"]])
    for found, prediction in zip(read.found, predictions["predictions"], strict=True):
        seen = prospect(targets, prediction["mean"], prediction["std"])
        if math.isfinite(seen.error) and math.isfinite(seen.probability):
            rows.append((seen, found, prediction))
        else:
            read.drops["not_predicted"] += 1
    rows.sort(key=lambda row: row[0].order)
    read.drops["beyond_count"] += max(0, len(rows) - body.count)
    return [
        {
            "rank": i,
            "key": found.configuration.key,
            "description": found.configuration.description,
            "configuration": found.configuration.to_dict(),
            "structure": _structure(found.configuration, body.structure),
            "asked": found.asked,
            "prediction": prediction,
            "surrogate_error": seen.error,
            "probability": seen.probability,
            "samples": found.samples,
            "duplicate_of": found.duplicate_of,
        }
        for i, (seen, found, prediction) in enumerate(rows[: body.count], start=1)
    ]


def _structure(configuration: Configuration, fmt: str) -> str | None:
    return None if fmt == "none" else str(to_structure(configuration).to(fmt=fmt))


async def design(
    body: DesignBody,
    adapter: str | None,
    models: Models,
    hosts: HostTable,
    learnt: Learnt = NOTHING,
    max_tokens: int | None = None,
) -> Reply:
    """Answer a design request.

    Parameters
    ----------
    learnt : Learnt
        Of the adapter.
    max_tokens : int, optional
        Most that all answers together may take.

    Returns
    -------
    Reply
        200 with a `DesignReply`; 422 where host, rules, targets or known configurations do not fit,
        or a target's property is one that the model was never asked for; what the language model
        or the surrogate answered where that is an error.
    """
    surrogate = await models.surrogate()
    if surrogate.get("version") is None:
        reason = surrogate.get("error") or "no surrogate is served"
        return error_reply(f"a design needs predictions: {reason}", "surrogate_unavailable", 503)
    missing = [t.property for t in body.targets if t.property not in surrogate["properties"]]
    if missing:
        told = ", ".join(surrogate["properties"])
        return error_reply(
            f"the surrogate does not predict {', '.join(missing)}; it predicts {told}",
            "unknown_property",
            422,
        )
    strange = [t.property for t in body.targets if property_named(t.property, learnt.own) is None]
    if strange:
        return error_reply(
            f"{body.model} was not trained to be asked for {', '.join(strange)}, which is no "
            "standard property; take an adapter of a campaign that has it",
            "unknown_property",
            422,
        )
    try:
        host = await asyncio.to_thread(hosts.get, body.host, list(body.supercell))
        requests = await asyncio.to_thread(requests_of, body, host, learnt.own)
        known = dict.fromkeys(learnt.keys, TRAINING) | await asyncio.to_thread(_known, body, host)
    except DesignLoopError as error:
        return error_reply(str(error), "invalid_design", 422)
    sampling = completion_body(body, requests)
    asked = len(requests) * PER_PROMPT * sampling["max_tokens"]
    if max_tokens is not None and asked > max_tokens:
        return error_reply(
            f"answers of {asked} tokens in all, at most {max_tokens} per request: draw fewer "
            "samples, or take the compact format",
            "too_many_tokens",
            422,
        )
    sampled = await models.generate("completions", sampling, adapter)
    if sampled["status"] != 200:
        return sampled
    read = await asyncio.to_thread(read_samples, body, requests, known, sampled["body"])
    predicted: Reply = {"status": 200, "body": {"version": surrogate["version"], "predictions": []}}
    if read.found:
        plain = [found.configuration.to_dict() for found in read.found]
        predicted = await models.predict(plain)
        if predicted["status"] != 200:
            return predicted
    candidates = await asyncio.to_thread(rank, body, read, predicted["body"])
    reply = {
        "model": body.model,
        "adapter": adapter,
        "surrogate_version": predicted["body"]["version"],
        "properties": list(surrogate["properties"]),
        "samples": read.samples,
        "tokens": read.tokens,
        "drops": {reason: n for reason, n in read.drops.most_common() if n},
        "candidates": candidates,
    }
    return {"status": 200, "body": reply}


def _known(body: DesignBody, host: Host) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, item in enumerate(body.known):
        try:
            if item.get("host") != host.name:
                raise RuleError(f"it is of another host than {host.name}")
            key = Configuration.from_dict(item, host).key
        except DesignLoopError as error:
            raise RuleError(f"known configuration {index}: {error}") from error
        found.setdefault(key, f"known:{index}")
    return found
