"""What a campaign file asks of the world: hosts, datasets, models, and targets within reach."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from defects.errors import DatasetError, HostError, OracleError, RuleError
from defects.hosts import Host, builtin_hosts, get_host
from defects.properties import VACANCY
from defects.rules import parse_defect
from defects.targets import Target
from design_loop.config.dataset_facts import DatasetFacts, dataset_facts
from design_loop.config.explain import explain
from design_loop.config.problems import Loc, Problem, did_you_mean
from design_loop.config.properties import dataset_columns, oracle_functions

Sections = Mapping[str, Any]

#: Where a name is a folder and not something to look up.
_PATH = re.compile(r"^(/|\.{1,2}(/|$)|~)")
_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")

#: More defects add up to more of these: no label bounds them.
_EXTENSIVE = ("energy", "formation_energy")

#: Settings of `serve.config` that the driver fills in.
_DRIVERS = ("base_model", "base_id", "adapter_roots", "surrogate", "host_files", "log_dir")


def is_path(name: str) -> bool:
    """Whether a name is written like a path."""
    return bool(_PATH.match(name))


def infeasible(sections: Sections) -> list[Problem]:
    """Find what cannot work out there, and warn of what hardly will.

    Parameters
    ----------
    sections
        Field -> validated value, paths absolute; what is missing is not looked at.
    """
    host, problems = _host(sections)
    facts, found = _dataset(sections, host)
    problems += found
    problems += _functions(sections)
    if facts is not None:
        facts, found = _own_columns(sections, facts)
        problems += found
    if host is not None and "rules" in sections:
        problems += _rules(sections["rules"], host)
    if facts is not None:
        problems += _labels(sections, facts)
        problems += _method(sections)
        problems += _surrogate(sections, facts)
    problems += _oracles(sections, host)
    problems += _base_model(sections)
    problems += _serving(sections)
    return problems


def _host(sections: Sections) -> tuple[Host | None, list[Problem]]:
    if "host" not in sections:
        return None, []
    wanted = sections["host"]
    try:
        return get_host(wanted.name, wanted.supercell), []
    except HostError as error:
        hint = ""
        if not wanted.name.lower().endswith(".cif"):
            hint = did_you_mean(wanted.name, builtin_hosts())
        return None, [Problem(("host", "name"), f"{error}{hint if 'did' in hint else ''}")]


def _rules(rules: Any, host: Host) -> Iterator[Problem]:
    from ase.data import atomic_numbers

    for position, name in enumerate(rules.defects):
        now, was = parse_defect(name)
        loc = ("rules", "defects", position)
        if was not in host.species:
            here = sorted(set(host.species))
            prefix = "V" if now == VACANCY else now
            instead = " or ".join(f"{prefix}_{element}" for element in here if element != now)
            yield Problem(
                loc, f"{name}: {host.name} has no {was}, only {', '.join(here)}; write {instead}"
            )
        if now != VACANCY and now not in atomic_numbers:
            yield Problem(loc, f"{name}: there is no element {now}")
    if any(parse_defect(name)[1] not in host.species for name in rules.defects):
        return
    sites = len(rules.plain.options(host))
    if 0 < sites < rules.min_defects:
        yield Problem(
            ("rules", "min_defects"),
            f"{rules.min_defects}, but only {sites} sites of {host.key} may change",
        )
    else:
        try:
            rules.validate_for(host)
        except RuleError as error:
            field, colon, text = str(error).partition(": ")
            named = colon and field in type(rules).model_fields
            yield Problem(("rules", field) if named else ("rules",), text if named else str(error))


def _dataset(sections: Sections, host: Host | None) -> tuple[DatasetFacts | None, list[Problem]]:
    if "dataset" not in sections:
        return None, []
    name = sections["dataset"]
    try:
        facts = dataset_facts(name)
    except DatasetError as error:
        return None, [Problem(("dataset",), str(error))]
    if host is None or any(_same_host(host, base, cell) for base, cell in facts.hosts):
        return facts, []
    held = ", ".join(f"{base} {'x'.join(map(str, cell))}" for base, cell in sorted(facts.hosts))
    return facts, [
        Problem(
            ("dataset",),
            f"holds {held or 'no structures'}, but the host is {host.key}; label this host with "
            "`design-loop data label`, or change host",
        )
    ]


def _functions(sections: Sections) -> Iterator[Problem]:
    """Functions of own properties that are not there."""
    from defects.oracles.functions import load_function

    for name, given in (sections.get("properties") or {}).items():
        if given.function is not None:
            try:
                load_function(given.function)
            except OracleError as error:
                yield Problem(("properties", name, "function"), str(error))


def _own_columns(sections: Sections, facts: DatasetFacts) -> tuple[DatasetFacts, Iterator[Problem]]:
    """The dataset's facts with own properties under their names, and columns that it lacks."""
    columns, _ = dataset_columns(sections.get("properties") or {})
    labels = dict(facts.labels)
    problems = []
    for name, column in columns.items():
        if column in labels:
            labels[name] = labels[column]
        else:
            problems.append(
                Problem(
                    ("properties", name, "column"),
                    f"the dataset has no column {column!r}{did_you_mean(column, facts.labels)}",
                )
            )
    return DatasetFacts(facts.hosts, labels), iter(problems)


def _same_host(host: Host, base: str, supercell: tuple[int, int, int]) -> bool:
    try:
        return get_host(base, supercell).key == host.key
    except HostError:
        # Not built in: whether the two cells are the same crystal shows when both are read.
        return supercell == host.supercell


def _labels(sections: Sections, facts: DatasetFacts) -> Iterator[Problem]:
    surrogate, targets = sections.get("surrogate"), sections.get("targets", ())
    fewest = surrogate.min_labels if surrogate is not None else 2
    wanted: dict[str, tuple[str | int, ...]] = {
        target.property: ("targets", i, "property") for i, target in enumerate(targets)
    }
    for i, name in enumerate((surrogate and surrogate.properties) or ()):
        wanted.setdefault(name, ("surrogate", "properties", i))
    computed = dataset_columns(sections.get("properties") or {})[1]
    for name, loc in wanted.items():
        if name in computed:
            continue  # its values come when the dataset is read
        known = len(facts.labels.get(name, ()))
        if known == 0:
            near = did_you_mean(name, [*facts.labels, *computed])
            yield Problem(loc, f"the dataset has no labels of {name}{near}")
        elif known < fewest:
            yield Problem(
                loc,
                f"the dataset has {known} labels of {name}, surrogate.min_labels is {fewest}; "
                "label more with `design-loop data label`, or ask for another property",
            )
    for i, target in enumerate(targets):
        values = facts.labels.get(target.property, [])
        if values and not any(target.satisfied(value) for value in values):
            yield _unmet(i, target, values)


def _surrogate(sections: Sections, facts: DatasetFacts) -> Iterator[Problem]:
    """A kind without its library, or without the labels that it builds on."""
    surrogate = sections.get("surrogate")
    if surrogate is None or surrogate.kind == "auto":
        return
    from training.surrogate_kinds import missing
    from training.surrogate_task import RELATED

    loc = ("surrogate", "kind")
    reason = missing(surrogate.kind)
    if reason is not None:
        yield Problem(loc, f"{surrogate.kind} {reason}")
    if surrogate.kind != "related":
        return
    for name in surrogate.properties or [t.property for t in sections.get("targets", ())]:
        other = RELATED.get(name, (None,))[0]
        if other is None:
            yield Problem(loc, f"related: nothing is known to be related to {name}; write auto")
        elif other not in facts.labels:
            yield Problem(
                loc, f"related: {name} needs labels of {other}, the dataset has none; write auto"
            )


def _unmet(position: int, target: Target, values: list[float]) -> Problem:
    """A target that no label meets: a warning near them, out of reach far away."""
    low, high = min(values), max(values)
    distance = min(target.error(low), target.error(high))
    said = (
        f"{target.text()}: none of the dataset's {len(values)} labels meets it (they lie between "
        f"{low:.3g} and {high:.3g})"
    )
    if distance > high - low and target.property not in _EXTENSIVE:
        advice = "out of reach; write bounds near the labels, or label what comes closer"
        return Problem(("targets", position), f"{said}: {advice}")
    return Problem(("targets", position), f"{said}; it may be out of reach", warning=True)


def _method(sections: Sections) -> Iterator[Problem]:
    """The surrogate learns from the dataset's labels and the oracle's: they must be one method."""
    from defects.datasets import bundled_datasets

    oracle, learn = sections.get("oracle"), sections.get("learn")
    if oracle is None:
        return
    first = learn is not None and learn.stage == "first"
    teacher = oracle.calls[0 if first else -1]
    if teacher.kind in ("xtb", "ase", "external"):
        ours = teacher.kind == "xtb" and sections["dataset"] in bundled_datasets()
        if not ours or teacher.settings.get("relax"):
            yield Problem(
                ("oracle", "kind"),
                "make sure that the dataset's labels come from this oracle "
                f"({teacher.kind}), too: the surrogate learns from both",
                warning=True,
            )


def _oracles(sections: Sections, host: Host | None) -> Iterator[Problem]:
    """Settings of every stage, and targets that the last one could never verify."""
    oracle = sections.get("oracle")
    if oracle is None or oracle.kind == "none":
        return
    for i, call in enumerate(oracle.calls):
        loc: Loc = ("oracle",) if i == 0 else ("oracle", "then", i - 1)
        yield from _oracle(sections, host, call, loc, last=i == len(oracle.then))


def _oracle(
    sections: Sections, host: Host | None, call: Any, loc: Loc, last: bool
) -> Iterator[Problem]:
    from defects.oracles.spec import SETTINGS

    model = SETTINGS[call.kind]
    try:
        settings = model.model_validate(call.settings)
    except ValidationError as error:
        yield from explain(error, model, (*loc, "settings"))
        return
    if call.kind == "table":
        yield from _table(sections, call.settings["dataset"], loc, last)
    elif host is not None and "rules" in sections:
        yield from _calculator(sections, call.kind, settings, host, loc, last)


def _calculator(
    sections: Sections, kind: str, settings: Any, host: Host, loc: Loc, last: bool
) -> Iterator[Problem]:
    from defects.oracles import make_oracle, require_properties

    functions = oracle_functions(sections.get("properties") or {}) | settings.functions
    try:
        oracle = make_oracle(kind, settings, functions=functions)
    except OracleError as error:
        if not any(str(error).startswith(path) for path in functions.values()):
            yield Problem((*loc, "kind"), str(error))
        return  # a function that is not there was told by its own place
    targets = [t.property for t in sections.get("targets", ())]
    if not last:
        if targets and not set(targets) & set(oracle.properties):
            yield Problem(
                (*loc, "kind"),
                f"{kind} gives none of the targets' properties ({', '.join(targets)}), so it "
                "cannot pick what the next stage sees",
            )
        return
    for i, name in enumerate(targets):
        if kind == "external" and name in settings.properties:
            continue
        try:
            require_properties(oracle, host, sections["rules"], (name,))
        except OracleError as error:
            yield Problem(("targets", i, "property"), f"would never be verified: {error}")


def _table(sections: Sections, dataset: str, loc: Loc, last: bool) -> Iterator[Problem]:
    try:
        given = dict(dataset_facts(dataset).labels)
    except DatasetError as error:
        yield Problem((*loc, "settings", "dataset"), str(error))
        return
    columns, functions = dataset_columns(sections.get("properties") or {})
    given |= {name: given[column] for name, column in columns.items() if column in given}
    given |= {name: [] for name in functions}
    for i, target in enumerate(sections.get("targets", ()) if last else ()):
        if target.property not in given:
            yield Problem(
                ("targets", i, "property"),
                f"would never be verified: the oracle's table has no {target.property}"
                f"{did_you_mean(target.property, given)}",
            )


def _base_model(sections: Sections) -> Iterator[Problem]:
    name = sections.get("base_model")
    if name is None or name == "small":
        return
    if is_path(name):
        if not (Path(name) / "config.json").is_file():
            yield Problem(
                ("base_model",),
                f"{name} is no model folder (no config.json in it); write small, an existing "
                "folder, or a Hugging Face name",
            )
    elif not _HUB_NAME.match(name):
        near = did_you_mean(name, ["small"])
        hint = (
            near if "did" in near else "; write small, ./FOLDER, or a Hugging Face name OWNER/MODEL"
        )
        yield Problem(("base_model",), f"no base model {name!r}{hint}")


def _serving(sections: Sections) -> Iterator[Problem]:
    from serve.config import LORA_RANKS, ServeConfig

    given = dict(sections.get("serving", {}))
    for name in _DRIVERS:
        if name in given:
            del given[name]
            yield Problem(("serving", name), "is set by the campaign itself; remove it")
    try:
        served = ServeConfig.model_validate({"base_model": "any", **given})
    except ValidationError as error:
        yield from explain(error, ServeConfig, ("serving",))
        return
    adapter = sections.get("adapter")
    if adapter is None:
        return
    if "max_lora_rank" in given.get("lora", {}) and adapter.rank > served.lora.max_lora_rank:
        yield Problem(
            ("adapter", "rank"),
            f"{adapter.rank} is above serving.lora.max_lora_rank {served.lora.max_lora_rank}",
        )
    elif adapter.rank > max(LORA_RANKS):
        yield Problem(("adapter", "rank"), f"vLLM serves ranks up to {max(LORA_RANKS)}")
