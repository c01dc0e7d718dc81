"""The stages of a campaign's oracle: what each computes, what a call takes, what its labels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from defects.oracles import OracleSpec
from design_loop.config.properties import dataset_columns, oracle_functions
from design_loop.ledger import Source

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.config.oracle import OracleConfig, OracleStage

#: What the labels of a stage are recorded as that is not the last one.
_BEFORE = (Source.STAGE_1, Source.STAGE_2)


@dataclass(frozen=True)
class Stage:
    """One stage of an oracle.

    Attributes
    ----------
    number : int
        From 1, the cheapest.
    call : OracleConfig or OracleStage
        Its section of the campaign file.
    spec : OracleSpec
        The oracle as plain data, a user's own properties included.
    source : Source
        What its labels are recorded as: the last stage's are the oracle's.
    budget : int
        Calls per round.
    """

    number: int
    call: OracleConfig | OracleStage
    spec: OracleSpec
    source: Source
    budget: int

    @property
    def external(self) -> bool:
        """Whether its labels are imported."""
        return self.call.kind == "external"


def oracle_stages(config: CampaignConfig) -> tuple[Stage, ...]:
    """Stages of a campaign's oracle, the cheapest first; none without an oracle."""
    if config.oracle.kind == "none":
        return ()
    calls = config.oracle.calls
    return tuple(
        Stage(
            i + 1,
            call,
            oracle_spec(config, call),
            Source.ORACLE if i + 1 == len(calls) else _BEFORE[i],
            config.selection.budget if i == 0 else config.oracle.then[i - 1].budget,
        )
        for i, call in enumerate(calls)
    )


def oracle_spec(config: CampaignConfig, call: OracleConfig | OracleStage) -> OracleSpec:
    """A stage's oracle as plain data, with what it needs for a user's own properties."""
    settings: dict[str, Any] = dict(call.settings)
    columns, of_labels = dataset_columns(config.properties)
    if call.kind == "table":
        given: dict[str, dict[str, str]] = {"columns": columns, "functions": of_labels}
    elif call.kind == "external":
        given = {"functions": of_labels}
    else:
        given = {"functions": oracle_functions(config.properties)}
    for name, entries in given.items():
        merged = {**entries, **settings.get(name, {})}
        if merged:
            settings[name] = merged
    return OracleSpec(call.kind, settings)
