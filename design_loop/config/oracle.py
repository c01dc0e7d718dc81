"""The section of the oracle: one trusted source of labels, or a cheap one and then dearer ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from design_loop.config.base import Section
from design_loop.config.problems import Loc, Problem

EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]
#: The smallest share of a resource that Ray can count.
LEAST = 0.0001
#: What Ray has options of its own for, or keeps for itself.
_NOT_CUSTOM = {
    "CPU": "write it as cpus_per_call",
    "GPU": "write it as gpus_per_call",
    "memory": "write it as memory_per_call, in GiB",
    "object_store_memory": "a call can have none of it set aside; leave it out",
    "bundle": "Ray keeps this name for itself; give the nodes' resource another one",
}
#: Devices that Ray hands out one by one, with the smallest share that it divides them into.
_DEVICES = {
    "GPU": LEAST,
    "NPU": LEAST,
    **dict.fromkeys(("HPU", "neuron_cores", "RBLN", "FURIOSA", "TTNPU", "MBLT"), 1),
}
_TPUS = (1, 2, 4, 8)


class OracleCall(Section):
    """What computes a label, and what one call of it takes."""

    settings: dict[str, Any] = Field(default_factory=dict, description="settings of that kind")
    cpus_per_call: float = Field(1, ge=LEAST, le=1024, description="CPUs that one call takes")
    gpus_per_call: float = Field(0, ge=0, le=64, description="GPUs that one call takes")
    memory_per_call: float | None = Field(
        None, gt=0, le=1e5, description="GiB that Ray keeps free for one call"
    )
    custom_resources: dict[ResourceName, Annotated[float, Field(ge=LEAST, le=1e6)]] = Field(
        default_factory=dict, description="resources that nodes of the cluster name: {vasp: 1}"
    )
    environment: dict[EnvironmentName, str] = Field(
        default_factory=dict,
        description="variables of the worker processes (OMP_NUM_THREADS follows cpus_per_call)",
    )
    timeout_s: float = Field(600, gt=0, description="a call that takes longer has failed, s")
    retries: int = Field(1, ge=0, le=20, description="further tries after a failure")


class OracleStage(OracleCall):
    """A dearer oracle for the best of those that the stage before labelled."""

    kind: Literal["xtb", "ase", "table", "external"] = Field(
        description="as in oracle.kind, but for none"
    )
    budget: int = Field(ge=1, le=1_000_000, description="oracle calls per round of this stage")


class OracleConfig(OracleCall):
    """The trusted label."""

    kind: Literal["xtb", "table", "none", "ase", "external"] = Field(
        "xtb",
        description="GFN1-xTB, a table of known labels, none, any ASE calculator, or labels that "
        "are imported from outside",
    )
    then: tuple[OracleStage, ...] = Field(
        (),
        max_length=2,
        description="dearer stages, with the first at most three in all; the last one verifies, "
        "those before pick what it sees",
    )

    @property
    def calls(self) -> tuple[OracleConfig | OracleStage, ...]:
        """All stages, the cheapest first."""
        return (self, *self.then)


def oracle_problems(oracle: OracleConfig, budget: int | None) -> Iterator[Problem]:
    """Stages that contradict each other; `budget` is the first one's."""
    if oracle.kind == "none" and oracle.settings:
        yield Problem(("oracle", "settings"), "kind none has no settings; remove them")
    if oracle.kind == "none" and oracle.then:
        yield Problem(("oracle", "then"), "stages follow an oracle; write the cheap one as kind")
    if oracle.kind == "external" and oracle.then:
        yield Problem(
            ("oracle", "kind"), "external can only be the last stage; write it under then"
        )
    for i, call in enumerate(oracle.calls):
        for loc, message in _resource_problems(call):
            yield Problem(("oracle", *(("then", i - 1) if i else ()), *loc), message)
    before = budget
    for i, stage in enumerate(oracle.then):
        loc = ("oracle", "then", i)
        if stage.kind == "external" and i + 1 < len(oracle.then):
            yield Problem((*loc, "kind"), "external can only be the last stage")
        if before is not None and stage.budget > before:
            yield Problem(
                (*loc, "budget"),
                f"{stage.budget} is more than the {before} that the stage before labels; write "
                f"{before} or less" + (", or raise selection.budget" if i == 0 else ""),
            )
        before = stage.budget


def _resource_problems(call: OracleCall) -> Iterator[tuple[Loc, str]]:
    """What Ray would refuse of a call only when the first one is made, hours later."""
    if problem := _count_problem("GPU", call.gpus_per_call):
        yield ("gpus_per_call",), problem
    for name, count in call.custom_resources.items():
        if problem := _NOT_CUSTOM.get(name) or _count_problem(name, count):
            yield ("custom_resources", name), problem


def _count_problem(name: str, count: float) -> str:
    if name == "TPU":
        known = ", ".join(map(str, _TPUS))
        return "" if count in _TPUS else f"a call can have {known} TPUs, not {count:g}"
    least = _DEVICES.get(name)
    if least is None or not count or float(count).is_integer() or least <= count < 1:
        return ""
    share = f"; a share must be below 1 and at least {least:g}" if least < 1 else ""
    return f"Ray hands out whole {name}s, not {count:g}{share}"
