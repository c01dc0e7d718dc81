"""The section of own properties: columns of a dataset, functions of what an oracle found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from defects.descriptors import DESCRIPTORS
from defects.oracles.functions import ImportPath
from defects.properties import DECIMALS, PROPERTIES, Property, properties_from
from design_loop.columns import FACT_COLUMNS, FILE_COLUMNS, KEY_COLUMNS, PREDICTED, SPREAD
from design_loop.config.base import Section
from design_loop.config.problems import Problem

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")


class OwnProperty(Section):
    """A property beyond the standard ones."""

    unit: str = Field(
        "", pattern=r"^[^\s:,]{0,16}$", description="its unit, as instructions and tables show it"
    )
    description: str = Field("", max_length=200, description="one line for people")
    decimals: int = Field(
        DECIMALS, ge=0, le=9, description="how precisely instructions write its values"
    )
    column: str | None = Field(
        None, min_length=1, description="column of the dataset; by default the property's name"
    )
    function: ImportPath | None = Field(
        None,
        description="package.module:function(atoms, results) -> number, evaluated where the "
        "oracle computes",
    )
    from_labels: bool = Field(
        False,
        description="the function needs only a structure's labels, so that the dataset's rows "
        "(and tables and imported labels) get the property from it, too",
    )


def as_properties(own: Mapping[str, OwnProperty]) -> dict[str, Property]:
    """What texts and tables need to know of a user's own properties."""
    return {
        name: Property(name, p.unit, p.description or name, p.decimals) for name, p in own.items()
    }


def dataset_columns(own: Mapping[str, OwnProperty]) -> tuple[dict[str, str], dict[str, str]]:
    """Own property -> column of a dataset, and -> function of its labels."""
    columns = {name: p.column for name, p in own.items() if p.column is not None}
    functions = {name: p.function for name, p in own.items() if p.function and p.from_labels}
    return columns, functions


def oracle_functions(own: Mapping[str, OwnProperty]) -> dict[str, str]:
    """Own property -> function that the oracle's workers evaluate."""
    return {name: p.function for name, p in own.items() if p.function is not None}


def recorded_properties(config: Mapping[str, Any]) -> dict[str, Property]:
    """Own properties of a configuration as a ledger keeps it; of any version."""
    return properties_from(config.get("properties"))


def property_problems(own: Mapping[str, OwnProperty]) -> Iterator[Problem]:
    """Names that are taken or cannot be written in targets; settings without an effect."""
    for name, given in own.items():
        loc = ("properties", name)
        if name in PROPERTIES:
            yield Problem(
                loc,
                f"{name} is a standard property; choose another name (taken are "
                f"{', '.join((*PROPERTIES, *DESCRIPTORS))})",
            )
        elif name in DESCRIPTORS:
            yield Problem(
                loc,
                f"{name} describes the structure itself; choose another name (taken are "
                f"{', '.join((*PROPERTIES, *DESCRIPTORS))})",
            )
        elif not _NAME.match(name):
            yield Problem(
                loc, "a name has small letters, digits and underscores, 40 at most, a letter first"
            )
        if given.from_labels and given.function is None:
            yield Problem((*loc, "from_labels"), "needs a function; add one, or remove this")
        if given.from_labels and given.column is not None:
            yield Problem((*loc, "column"), "the function gives the values; remove one of both")


def column_problems(own: Mapping[str, OwnProperty]) -> Iterator[Problem]:
    """Names that exported tables have for something else, so that labels were not read back.

    Not among `property_problems`, which a recorded configuration has to pass as well: a campaign
    that was begun under such a name goes on.
    """
    taken = {*FACT_COLUMNS, *FILE_COLUMNS, *KEY_COLUMNS}
    known = (*PROPERTIES, *DESCRIPTORS, *own)
    taken |= {name + ending for name in known for ending in (PREDICTED, SPREAD)}
    for name, given in own.items():
        if name in taken:
            column = f", with column: {name}" if not given.column and not given.function else ""
            yield Problem(
                ("properties", name),
                f"{name} is another column of exported tables; write another name, such as "
                f"{name}_value{column}",
            )
