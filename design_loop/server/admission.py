"""Campaigns that come over the network: the file's schema, less what names files, code or machines.

Allowed is what is listed here. A section or key that is added to campaign files one day stays
closed until somebody has thought about it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from defects.datasets import bundled_datasets
from defects.hosts import builtin_hosts
from design_loop.config import CampaignConfig, CampaignFileError, Problem
from design_loop.config.code_paths import code_paths
from design_loop.config.loading import check_campaign
from design_loop.server.settings import CampaignsSettings
from serve.errors import ApiError
from serve.hosts import MAX_CELLS
from serve.public import without_paths

#: Sections that a request may have. The others (serving, resources, ...) are the server's.
SECTIONS = (
    "name", "seed", "host", "rules", "targets", "rounds", "dataset", "base_model", "proposer",
    "generation", "adapter", "surrogate", "selection", "oracle", "learn",
)  # fmt: skip
#: Keys of a stage of the oracle, and settings of its kinds: neither code nor environments.
_ORACLE = {"kind", "settings", "timeout_s", "retries", "then"}
_STAGE = {"kind", "settings", "timeout_s", "retries", "budget"}
_KINDS = {
    "none": set(),
    "table": {"dataset", "properties"},
    "xtb": {"method", "accuracy", "max_iterations", "electronic_temperature", "relax"},
}
#: Whatever could be a path, an address or an import path.
_NO_NAME = re.compile(r"[/\\:\x00-\x1f]|\.cif$|^[.~]", re.IGNORECASE)
_DEPTH, _ITEMS = 12, 20_000
_PROCESS = re.compile(r" \(process \d+ on [^)]*\)")


def admit(body: Mapping[str, Any], settings: CampaignsSettings) -> CampaignConfig:
    """Check a request for a campaign and make it one of this server's.

    Parameters
    ----------
    body : mapping
        The request's JSON.
    settings : CampaignsSettings
        What may be named, and how much may be asked for.

    Raises
    ------
    ApiError
        422 with every problem, in the words of campaign files.
    """
    problems = [*_closed(body), *_odd_values(body)]
    if problems:
        raise _refusal(problems)
    body, problems = _named(body, settings)
    if problems:
        raise _refusal(problems)
    try:
        config = check_campaign(body)
        problems = list(_too_much(config, settings))
        if problems:
            raise _refusal(problems)
        # Now, within bounds, also what has to be looked up: host, dataset, models.
        config = check_campaign(body, folder=Path.cwd())
    except CampaignFileError as error:
        raise _refusal([p for p in error.problems if not p.warning]) from error
    assert not code_paths(config.model_dump(mode="json"))
    return config


def redact(text: str) -> str:
    """Leave paths and processes of this machine out of a text for others."""
    return _PROCESS.sub("", without_paths(text))


def _refusal(problems: list[Problem]) -> ApiError:
    said = [redact(f"{p.path}: {p.message}" if p.path else p.message)[:400] for p in problems]
    more = f"; and {len(said) - 10} more" if len(said) > 10 else ""
    return ApiError(422, "invalid_campaign", "; ".join(said[:10]) + more)


def _closed(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Sections and keys that are the server's own matter."""
    for name in body:
        if name not in SECTIONS and name in CampaignConfig.model_fields:
            yield Problem((name,), "is set by the server; leave it out")
    oracle = body.get("oracle")
    if not isinstance(oracle, Mapping):
        return
    yield from _closed_call(oracle, ("oracle",), _ORACLE)
    stages = oracle.get("then", ())
    for i, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, Mapping):
            yield from _closed_call(stage, ("oracle", "then", i), _STAGE)


def _closed_call(call: Mapping[str, Any], loc: tuple, keys: set[str]) -> Iterator[Problem]:
    for key in call:
        if key not in keys:
            yield Problem((*loc, str(key)[:40]), "is set by the server; leave it out")
    kind = call.get("kind", "xtb")
    if kind not in _KINDS:
        yield Problem((*loc, "kind"), f"over HTTP there is {', '.join(_KINDS)}")
        return
    given = call.get("settings")
    for key in given if isinstance(given, Mapping) else ():
        if key not in _KINDS[kind]:
            known = ", ".join(sorted(_KINDS[kind])) or "no setting"
            yield Problem((*loc, "settings", str(key)[:40]), f"over HTTP there is {known}")


def _odd_values(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Texts that are no names, numbers that are none, and what is nested or long beyond reason."""
    waiting: list[tuple[tuple, Any]] = [((), body)]
    seen = 0
    while waiting:
        loc, value = waiting.pop()
        seen += 1
        if seen > _ITEMS or len(loc) > _DEPTH:
            yield Problem(loc[:4], "is far too long or too deeply nested")
            return
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if _NO_NAME.search(str(key)):
                    yield Problem(loc, f"{str(key)[:40]!r} is no key")
                    return
                waiting.append(((*loc, key), inner))
        elif isinstance(value, list):
            waiting += [((*loc, i), inner) for i, inner in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            yield Problem(loc, "must be a finite number")
        elif isinstance(value, str) and (len(value) > 8000 or _NO_NAME.search(value)):
            yield Problem(loc, "names neither files, addresses nor code over HTTP; write a name")


def _named(
    body: Mapping[str, Any], settings: CampaignsSettings
) -> tuple[dict[str, Any], list[Problem]]:
    """Put what the server knows in the place of names; everything else is refused."""
    problems: list[Problem] = []

    def known(value: Any, loc: tuple, given: Mapping[str, str], also: tuple[str, ...]) -> Any:
        if not isinstance(value, str):
            return value  # the schema says what is wrong with it
        if value in given:
            return given[value]
        if value not in also:
            names = ", ".join(sorted({*given, *also})) or "none"
            problems.append(Problem(loc, f"{value[:60]!r} is not served here; there is {names}"))
        return value

    shipped, hosts = tuple(bundled_datasets()), tuple(builtin_hosts())
    made = dict(body)
    if "dataset" in made:
        made["dataset"] = known(made["dataset"], ("dataset",), settings.datasets, shipped)
    base = made.get("base_model", "small")
    made["base_model"] = known(base, ("base_model",), settings.bases, ())
    host = made.get("host")
    if isinstance(host, Mapping) and "name" in host:
        name = known(host["name"], ("host", "name"), settings.hosts, hosts)
        made["host"] = {**host, "name": name}

    def call(given: Any, loc: tuple) -> Any:
        inner = given.get("settings") if isinstance(given, Mapping) else None
        if not isinstance(inner, Mapping) or "dataset" not in inner:
            return given
        place = (*loc, "settings", "dataset")
        table = known(inner["dataset"], place, settings.datasets, shipped)
        return {**given, "settings": {**inner, "dataset": table}}

    oracle = call(made.get("oracle"), ("oracle",))
    if isinstance(oracle, Mapping):
        stages = oracle.get("then")
        if isinstance(stages, list):
            changed = [call(s, ("oracle", "then", i)) for i, s in enumerate(stages)]
            oracle = {**oracle, "then": changed}
        made["oracle"] = oracle
    return made, problems


def _too_much(config: CampaignConfig, settings: CampaignsSettings) -> Iterator[Problem]:
    """More than this server lets one campaign take."""
    for loc, value, most in (
        (("rounds",), config.rounds, settings.max_rounds),
        (("generation", "samples"), config.generation.samples, settings.max_samples),
        (("selection", "budget"), config.selection.budget, settings.max_budget),
        (("host", "supercell"), math.prod(config.host.supercell), MAX_CELLS),
    ):
        if value > most:
            yield Problem(loc, f"{value} is more than the {most} that this server allows")
