"""Contradictions within a campaign file, found without looking at anything else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from design_loop.config.adaptation import adaptation_problems
from design_loop.config.oracle import oracle_problems
from design_loop.config.problems import Problem
from design_loop.config.properties import property_problems
from design_loop.config.proposer import proposer_problems
from design_loop.config.selection import selection_problems
from design_loop.config.tracking import tracking_problems

Sections = Mapping[str, Any]


def contradictions(sections: Sections) -> list[Problem]:
    """Find what cannot be meant together.

    Parameters
    ----------
    sections
        Field -> validated value. Fields that did not validate may be missing: the checks that need
        them are left out, so that all other problems of a file still come together.
    """
    found: list[Problem] = []
    for check in (
        _properties,
        _targets,
        _levels,
        _surrogate,
        _proposer,
        _generation,
        _budget,
        selection_problems,
        _oracle,
        _resources,
        _tracking,
    ):
        found.extend(check(sections))
    return found


def without_effect(sections: Sections) -> Iterator[Problem]:
    """Warn of settings that the file gives and nothing reads.

    Defaults are no news, written out or not: a campaign that is written with all of its settings
    (a comparison's task) would be warned of each.
    """
    learn = sections.get("learn")
    if learn is None or learn.start_from != "base":
        return
    for name in ("replay", "continue_rate"):
        default = type(learn).model_fields[name].default
        if name in learn.model_fields_set and getattr(learn, name) != default:
            yield Problem(
                ("learn", name),
                "has no effect with start_from: base; remove it, or write start_from: previous",
                warning=True,
            )


def _properties(sections: Sections) -> Iterator[Problem]:
    yield from property_problems(sections.get("properties") or {})


def _targets(sections: Sections) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for position, target in enumerate(sections.get("targets", ())):
        loc = ("targets", position)
        if target.property in seen:
            yield Problem(
                (*loc, "property"),
                f"{target.property} already has target {seen[target.property]}; "
                "write one target, a range if need be",
            )
        seen.setdefault(target.property, position)
        if target.property == "homo_lumo_gap" and target.bounds()[1] < 0:
            key = "value" if target.value is not None else "max"
            yield Problem((*loc, key), "a gap is never negative; write 0 or more")


def _levels(sections: Sections) -> Iterator[Problem]:
    """Gap = LUMO - HOMO: ranges of the three that no crystal can meet."""
    bounds = {t.property: t.bounds() for t in sections.get("targets", ())}
    if "homo" not in bounds or "lumo" not in bounds:
        return
    (homo_low, homo_high), (lumo_low, lumo_high) = bounds["homo"], bounds["lumo"]
    low, high = max(lumo_low - homo_high, 0.0), lumo_high - homo_low
    if high < 0:
        yield Problem(("targets",), "lumo would lie below homo everywhere in these ranges")
    gap_low, gap_high = bounds.get("homo_lumo_gap", (-math.inf, math.inf))
    if gap_high < low or (high >= 0 and gap_low > high):
        yield Problem(
            ("targets",), f"homo and lumo give a gap of {low:g} to {high:g} eV, not the one wanted"
        )


def _surrogate(sections: Sections) -> Iterator[Problem]:
    surrogate, targets = sections.get("surrogate"), sections.get("targets")
    if surrogate is None or targets is None:
        return
    wanted = [target.property for target in targets]
    if surrogate.properties is not None:
        for name in wanted:
            if name not in surrogate.properties:
                yield Problem(
                    ("surrogate", "properties"), f"add {name}, a target that has to be predicted"
                )
    predicted = surrogate.properties or wanted
    selection = sections.get("selection")
    for name in selection.max_std if selection else ():
        if name not in predicted:
            yield Problem(
                ("selection", "max_std", name),
                f"is not predicted; the surrogate predicts {', '.join(predicted)}",
            )


def _proposer(sections: Sections) -> Iterator[Problem]:
    if (proposer := sections.get("proposer")) is not None:
        yield from proposer_problems(proposer)


def _generation(sections: Sections) -> Iterator[Problem]:
    generation = sections.get("generation")
    if generation is None:
        return
    if generation.per_prompt > generation.samples:
        yield Problem(
            ("generation", "per_prompt"),
            f"{generation.per_prompt} is more than samples; write {generation.samples} or less",
        )
    if generation.temperature == 0 and generation.per_prompt > 1:
        yield Problem(
            ("generation", "temperature"),
            "0 makes all samples of a prompt equal; write 1.0, or per_prompt: 1",
        )
    yield from adaptation_problems(generation)


def _budget(sections: Sections) -> Iterator[Problem]:
    generation, selection = sections.get("generation"), sections.get("selection")
    if generation is None or selection is None:
        return
    kept = math.floor(selection.quantile * generation.samples)
    if selection.budget > kept:
        enough = math.ceil(selection.budget / selection.quantile)
        yield Problem(
            ("selection", "budget"),
            f"{selection.budget} is more than the {kept} that quantile {selection.quantile:g} "
            f"leaves of {generation.samples} samples; write {max(kept, 1)} or less, "
            f"or generation.samples: {enough}",
        )


def _oracle(sections: Sections) -> Iterator[Problem]:
    oracle, learn = sections.get("oracle"), sections.get("learn")
    if oracle is None:
        return
    if oracle.kind == "none" and learn is not None and not learn.use_unverified:
        yield Problem(
            ("oracle", "kind"),
            "without an oracle nothing is verified and nothing learnt; write xtb, or "
            "learn.use_unverified: true to feed the surrogate's values back",
        )
    selection = sections.get("selection")
    yield from oracle_problems(oracle, None if selection is None else selection.budget)
    if learn is not None and learn.stage == "first" and not oracle.then:
        yield Problem(("learn", "stage"), "there is one stage only; remove it, or add oracle.then")


def _resources(sections: Sections) -> Iterator[Problem]:
    resources, oracle = sections.get("resources"), sections.get("oracle")
    if resources is None:
        return
    if resources.ray_address is not None and resources.cpus is not None:
        yield Problem(
            ("resources", "cpus"), "a cluster that is joined has its own CPUs; remove one of both"
        )
    adapter = sections.get("adapter")
    if adapter is not None and adapter.quantization == "4bit":
        if not resources.train_gpus:
            yield Problem(
                ("adapter", "quantization"),
                "4bit needs a CUDA GPU per worker; write none, or resources.train_gpus: 1",
            )
        elif resources.train_sharding == "fsdp":
            yield Problem(
                ("adapter", "quantization"),
                "a 4bit base is held whole by every worker; write resources.train_sharding: ddp",
            )
    if resources.cpus is not None:
        asked: dict[tuple[str | int, ...], float] = {
            ("resources", "train_cpus"): resources.train_cpus * resources.train_workers
        }
        if oracle is not None:
            for i, call in enumerate(oracle.calls):
                place = ("oracle",) if i == 0 else ("oracle", "then", i - 1)
                asked[*place, "cpus_per_call"] = call.cpus_per_call
        for loc, cpus in asked.items():
            if cpus > resources.cpus:
                yield Problem(loc, f"asks for {cpus:g} CPUs, resources.cpus is {resources.cpus}")


def _tracking(sections: Sections) -> Iterator[Problem]:
    if (tracking := sections.get("tracking")) is not None:
        yield from tracking_problems(tracking)
