"""A label as it comes in, whatever file it stood in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from defects.configuration import Configuration
from defects.errors import DesignLoopError, StructureMismatchError
from defects.hosts import Host
from defects.properties import Property, property_named
from defects.structures import from_structure, site_tolerance

if TYPE_CHECKING:
    from pymatgen.core import Structure


class ImportLabelsError(DesignLoopError):
    """A file of labels cannot be read at all."""


@dataclass(frozen=True)
class Incoming:
    """One label and where it stood.

    Attributes
    ----------
    where : str
        File, row or folder, for messages.
    key : str or None
        Candidate it belongs to; None where that could not be told.
    properties : dict
        Property -> value, in the unit of the campaign.
    problem : str or None
        Why it is no label.
    details : dict
        What came beside it, see `defects.oracles.Computed`.
    pristine : bool
        It is of the host without defects: a reference, no candidate.
    """

    where: str
    key: str | None
    properties: dict[str, float] = field(default_factory=dict)
    problem: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    pristine: bool = False


@dataclass(frozen=True)
class References:
    """What formation energies are counted from.

    Attributes
    ----------
    pristine_energy : float or None
        Of the campaign's supercell, eV.
    chemical_potentials : mapping
        eV per atom.
    """

    pristine_energy: float | None = None
    chemical_potentials: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """What readers know of the campaign.

    Attributes
    ----------
    host : Host
    own : mapping
        Its own properties by name.
    """

    host: Host
    own: Mapping[str, Property] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Whether a name is a property."""
        return property_named(name, self.own) is not None

    def unit(self, name: str) -> str:
        """Unit of a property that `knows`."""
        found = property_named(name, self.own)
        return found.unit if found is not None else ""

    @cached_property
    def tolerance(self) -> float:
        """See `defects.structures.site_tolerance`."""
        return site_tolerance(self.host)

    def configuration(self, structure: Structure) -> Configuration:
        """The configuration that a structure, ideal or relaxed, is of.

        Raises
        ------
        StructureMismatchError
            When it is none of the host's.
        """
        return from_structure(structure, self.host, self.tolerance)

    def matched(
        self,
        where: str,
        structure: Structure,
        properties: dict[str, float],
        problem: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> Incoming:
        """A label whose candidate is told by its structure."""
        try:
            found = self.configuration(structure)
        except StructureMismatchError as error:
            return Incoming(where, None, properties, str(error))
        return Incoming(
            where, found.key, properties, problem, details or {}, pristine=not found.n_defects
        )
