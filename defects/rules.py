"""Rules: which defects a campaign may make, and how many."""

from __future__ import annotations

import re
from collections import defaultdict

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from defects.configuration import Configuration
from defects.errors import RuleError
from defects.hosts import Host
from defects.properties import VACANCY

_NAME = re.compile(r"^(V|[A-Z][a-z]?)_([A-Z][a-z]?)$")


def parse_defect(name: str) -> tuple[str, str]:
    """``"V_S"`` → ``("VAC", "S")``, ``"Se_S"`` → ``("Se", "S")``: what is there now, what was.

    Raises
    ------
    RuleError
        When the name is no defect. ``V_X`` is always a vacancy; write vanadium out of the rules.
    """
    match = _NAME.match(name)
    if match is None:
        raise RuleError(
            f"{name!r} is no defect: write V_S for a vacancy of S, Se_S for Se in the place of S"
        )
    now, was = match.groups()
    if now == was:
        raise RuleError(f"{name!r} changes nothing")
    return (VACANCY if now == "V" else now), was


class Rules(BaseModel):
    """Allowed point defects and their number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defects: tuple[str, ...] = Field(
        min_length=1, description="allowed defects, V_S for a vacancy, Se_S for a substitution"
    )
    min_defects: int = Field(1, ge=1, le=256, description="fewest changed sites")
    max_defects: int = Field(6, ge=1, le=256, description="most changed sites")

    @field_validator("defects")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                parse_defect(name)
            except RuleError as error:
                raise ValueError(str(error)) from error
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _ordered(self) -> Rules:
        if self.min_defects > self.max_defects:
            raise ValueError(
                f"min_defects {self.min_defects} is above max_defects {self.max_defects}"
            )
        return self

    def allowed(self) -> dict[str, tuple[str, ...]]:
        """Element of the pristine site → species it may become."""
        table: dict[str, list[str]] = defaultdict(list)
        for name in self.defects:
            now, was = parse_defect(name)
            table[was].append(now)
        return {was: tuple(now) for was, now in table.items()}

    def options(self, host: Host) -> dict[int, tuple[str, ...]]:
        """Site → species it may become, for every site that may change."""
        table = self.allowed()
        return {s: table[e] for s, e in enumerate(host.species) if e in table}

    def validate_for(self, host: Host) -> None:
        """Refuse rules that no configuration of the host can meet.

        Raises
        ------
        RuleError
            When a defect names an element the host lacks, or fewer sites may change than asked.
        """
        for name in self.defects:
            _, was = parse_defect(name)
            if was not in host.species:
                raise RuleError(
                    f"{name}: host {host.name} has no {was} "
                    f"(it has {', '.join(sorted(set(host.species)))})"
                )
        sites = len(self.options(host))
        if self.min_defects > sites:
            raise RuleError(
                f"min_defects {self.min_defects}, but only {sites} sites of {host.key} may change"
            )

    def violation(self, configuration: Configuration) -> str | None:
        """Why a configuration breaks the rules, or None."""
        n = configuration.n_defects
        if not self.min_defects <= n <= self.max_defects:
            return f"{n} defects, allowed are {self.min_defects} to {self.max_defects}"
        for name in configuration.counts():
            if name not in self.defects:
                return f"{name} is not among {', '.join(self.defects)}"
        return None
