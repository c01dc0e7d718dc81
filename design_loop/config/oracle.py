"""The section of the oracle: one trusted source of labels, or a cheap one and then dearer ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from design_loop.config.base import Section
from design_loop.config.problems import Problem

EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]


class OracleCall(Section):
    """What computes a label, and what one call of it takes."""

    settings: dict[str, Any] = Field(default_factory=dict, description="settings of that kind")
    cpus_per_call: float = Field(1, gt=0, le=1024, description="CPUs that one call takes")
    gpus_per_call: float = Field(0, ge=0, le=64, description="GPUs that one call takes")
    memory_per_call: float | None = Field(
        None, gt=0, le=1e5, description="GiB that Ray keeps free for one call"
    )
    custom_resources: dict[ResourceName, Annotated[float, Field(gt=0, le=1e6)]] = Field(
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
        description="dearer stages; the last one verifies, those before pick what it sees",
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
