"""Rules as a user writes them: plain data that knows of no host."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from defects.configuration import Configuration
from defects.errors import RuleError
from defects.hosts import Host
from defects.rules.names import parse_defect

#: Most defects of a configuration, whatever a concentration comes to.
MOST = 256
#: In `min_separation`: every pair that has no entry of its own.
ANY = "any"
#: In `concentration`: all sites of the host.
ALL = "all"

_PLACE = re.compile(r"^(top|bottom|[A-Z][a-z]?\d{1,3})$")
_GROUP = re.compile(rf"^({ALL}|[A-Z][a-z]?\d{{0,3}})$")


def _places(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _exactly(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


def _at_most(value: Any) -> Any:
    return (0.0, value) if isinstance(value, (int, float)) else value


def _separation(value: Any) -> Any:
    return {ANY: value} if isinstance(value, (int, float)) else value


Places = Annotated[
    tuple[Annotated[str, Field(max_length=8)], ...],
    BeforeValidator(_places, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=64),
]
Count = Annotated[int, Field(ge=0, le=MOST)]
Counts = Annotated[
    tuple[Count, Count], BeforeValidator(_exactly, json_schema_input_type=int | list[int])
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Shares = Annotated[
    tuple[Share, Share], BeforeValidator(_at_most, json_schema_input_type=float | list[float])
]
Distance = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Site = Annotated[int, Field(ge=0, le=10**7)] | Annotated[str, Field(max_length=40)]


class Near(BaseModel):
    """All sites within a distance of one, itself included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    around: Site = Field(description="site number, or label as in 'S1 3 0'")
    within: Distance = Field(description="distance, Å")


class Rules(BaseModel):
    """Allowed point defects: which, how many, where, and how close to each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defects: tuple[str, ...] = Field(
        min_length=1,
        max_length=64,
        description="allowed defects, V_S for a vacancy, Se_S for a substitution",
    )
    min_defects: int = Field(1, ge=1, le=MOST, description="fewest changed sites")
    max_defects: int = Field(
        6,
        ge=1,
        le=MOST,
        description="most changed sites; without a bound of its own where concentration has all",
    )
    where: dict[str, Places] = Field(
        default_factory=dict,
        max_length=64,
        description="defect or element -> sublattices it may change: top, bottom, or labels as S1",
    )
    counts: dict[str, Counts] = Field(
        default_factory=dict,
        max_length=64,
        description="defect -> how many of it: a number, or [fewest, most]",
    )
    concentration: dict[str, Shares] = Field(
        default_factory=dict,
        max_length=64,
        description="all, an element or a sublattice (S1) -> changed share of its sites: the most, "
        "or [least, most]",
    )
    min_separation: Annotated[
        dict[str, Distance],
        BeforeValidator(_separation, json_schema_input_type=float | dict[str, float]),
    ] = Field(
        default_factory=dict,
        max_length=256,
        description="Å between any two defects, or pair (V_S-W_Mo, any) -> Å; periodic",
    )
    frozen: tuple[Site | Near, ...] = Field(
        (),
        max_length=4096,
        description="sites that stay: numbers, labels (S1 3 0), {around: site, within: Å}",
    )
    seeds: tuple[Annotated[str, Field(min_length=1, max_length=8000)], ...] = Field(
        (),
        max_length=64,
        description="structures one of which every candidate contains, with further defects: "
        "changed sites as 'S1 3 0 VAC; S1 2 0 VAC', in a campaign file also CIF files",
    )

    @model_validator(mode="before")
    @classmethod
    def _bounded_by_concentration(cls, data: Any) -> Any:
        """A share of all sites takes the place of the default number, not only narrows it."""
        if isinstance(data, dict) and "max_defects" not in data:
            shares = data.get("concentration")
            if isinstance(shares, dict) and ALL in shares:
                return {**data, "max_defects": MOST}
        return data

    @field_validator("defects")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                parse_defect(name)
            except RuleError as error:
                raise ValueError(str(error)) from error
        return tuple(dict.fromkeys(names))

    @field_validator("where")
    @classmethod
    def _are_places(cls, where: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, places in where.items():
            for place in places:
                if not _PLACE.match(place):
                    raise ValueError(f"{name}: {place!r} is no place: write top, bottom or S1")
        return where

    @field_validator("concentration")
    @classmethod
    def _are_groups(cls, shares: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in shares.items():
            if not _GROUP.match(name):
                raise ValueError(f"{name!r} is no group of sites: write all, S or S1")
            if low > high:
                raise ValueError(f"{name}: {low:g} is above {high:g}; swap them")
        return shares

    @model_validator(mode="after")
    def _consistent(self) -> Rules:
        if self.min_defects > self.max_defects:
            raise ValueError(
                f"min_defects {self.min_defects} is above max_defects {self.max_defects}"
            )
        elements = {parse_defect(name)[1] for name in self.defects}
        for name in self.where:
            if name not in self.defects and name not in elements:
                raise ValueError(f"where: {name} is neither an allowed defect nor what one changes")
        for name, (low, high) in self.counts.items():
            if name not in self.defects:
                raise ValueError(f"counts: {name} is not among the allowed defects")
            if low > high:
                raise ValueError(f"counts: {name}: {low} is above {high}; swap them")
        fewest = sum(low for low, _ in self.counts.values())
        if fewest > self.max_defects:
            raise ValueError(f"counts ask for {fewest} defects, max_defects is {self.max_defects}")
        most = sum(high for _, high in self.counts.values())
        if set(self.counts) == set(self.defects) and most < self.min_defects:
            raise ValueError(f"counts leave {most} defects, min_defects is {self.min_defects}")
        for pair in self.min_separation:
            ends = pair.split("-")
            if pair != ANY and (len(ends) != 2 or any(e not in self.defects for e in ends)):
                raise ValueError(
                    f"min_separation: {pair!r} is no pair of allowed defects: write any or "
                    f"{self.defects[0]}-{self.defects[-1]}"
                )
        return self

    def __hash__(self) -> int:
        return hash((self.defects, self.min_defects, self.max_defects, self.seeds, self.frozen))

    @property
    def plain(self) -> Rules:
        """The allowed defects and their number, without all that goes beyond."""
        return Rules(
            defects=self.defects, min_defects=self.min_defects, max_defects=self.max_defects
        )

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but allowed defects and their number."""
        return not (
            self.where
            or self.counts
            or self.concentration
            or self.min_separation
            or self.frozen
            or self.seeds
        )

    def number(self, host: Host) -> tuple[int, int]:
        """Fewest and most changed sites on a host, from the numbers and the share of all sites."""
        low, high = self.min_defects, self.max_defects
        if ALL in self.concentration:
            least, most = share_of(self.concentration[ALL], host.n_sites)
            low, high = max(low, least), min(high, most)
        return low, high

    def allowed(self) -> dict[str, tuple[str, ...]]:
        """Element of the pristine site → species it may become."""
        table: dict[str, list[str]] = defaultdict(list)
        for name in self.defects:
            now, was = parse_defect(name)
            table[was].append(now)
        return {was: tuple(now) for was, now in table.items()}

    def options(self, host: Host) -> dict[int, tuple[str, ...]]:
        """Site → species it may become, for every site that may change (by any of the seeds)."""
        if self.is_plain:
            table = self.allowed()
            return {s: table[e] for s, e in enumerate(host.species) if e in table}
        return self.on(host).options

    def on(self, host: Host) -> Any:
        """These rules on a host, as a `RuleSet`.

        Raises
        ------
        RuleError
            When they name what the host does not have.
        """
        from defects.rules.ruleset import rule_set

        return rule_set(self, host)

    def validate_for(self, host: Host) -> None:
        """Refuse rules that no configuration of the host can meet.

        Raises
        ------
        RuleError
            When they name what the host lacks, or when no configuration keeps all of them: proven,
            or none found within the bounds of `defects.rules.tight`.
        """
        self.on(host).require_feasible()

    def violation(self, configuration: Configuration) -> str | None:
        """Which rule a configuration breaks and by how much, or None.

        Of a configuration's class: rules about particular sites (`where`, `frozen`, `seeds`, a
        share of one sublattice) are kept when an equivalent placement keeps them all. `place` gives
        that one.
        """
        return self.on(configuration.host).violation(configuration)

    def place(self, configuration: Configuration) -> Configuration | None:
        """The configuration, or an equivalent one, that keeps the rules where it lies; else None.

        Symmetry carries a configuration out of a frozen region or from the top layer to the bottom
        without changing the crystal. What is stored, shown and exported is the placement that keeps
        the rules, the canonical representative is for comparing only.
        """
        return self.on(configuration.host).place(configuration)


def share_of(share: tuple[float, float], sites: int) -> tuple[int, int]:
    """Fewest and most of so many sites within a share of them."""
    low, high = share
    # 0.1 of 30 sites is 3, not 3.0000000000000004 and so 4.
    return -int(-(low * sites - 1e-9) // 1), int((high * sites + 1e-9) // 1)
