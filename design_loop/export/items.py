"""A candidate as it is exported: its structure, ideal or relaxed, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from defects.configuration import Configuration
from defects.hosts import Host, get_host
from design_loop.summary import CampaignSummary, RankedCandidate

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

    from design_loop.ledger.stages import LedgerStages


#: In files of ASE before properties whose names mean something else there: magmom, stress, rank.
OWN = "own_"


def campaign_host(summary: CampaignSummary) -> Host:
    """The host of a campaign, from its recorded configuration."""
    host = summary.campaign.config["host"]
    return get_host(host["name"], host["supercell"])


def file_stem(candidate: RankedCandidate) -> str:
    """``001-Se_S+V_S-0123456789abcdef``: sorts by rank, says what it is, is unique."""
    return f"{candidate.rank:03d}-{candidate.description[:60]}-{candidate.key}"


def relaxed_structures(
    ledger: LedgerStages, candidates: Sequence[RankedCandidate]
) -> dict[str, Mapping[str, Any]]:
    """Relaxed structures that oracle calls left: candidate's key -> record of `relax`."""
    keys = {c.oracle_key: c.key for c in candidates if c.oracle_key is not None}
    found = ledger.call_details(list(keys))
    return {keys[key]: details["relaxed"] for key, details in found.items() if "relaxed" in details}


@dataclass(frozen=True)
class Item:
    """A candidate and the structure that is written for it.

    Attributes
    ----------
    candidate : RankedCandidate
    configuration : Configuration
    relaxed : mapping or None
        What `defects.oracles.relax.relax` left; the ideal sites without it.
    """

    candidate: RankedCandidate
    configuration: Configuration
    relaxed: Mapping[str, Any] | None = None

    @property
    def stem(self) -> str:
        return file_stem(self.candidate)

    def atoms(self) -> Atoms:
        """The structure as an ASE object."""
        from defects.oracles.relax import relaxed_atoms
        from defects.structures import to_atoms

        if self.relaxed is not None:
            return relaxed_atoms(self.relaxed)
        return to_atoms(self.configuration)

    def structure(self) -> Structure:
        """The structure as a pymatgen object."""
        from pymatgen.io.ase import AseAtomsAdaptor

        from defects.structures import to_structure

        if self.relaxed is None:
            return to_structure(self.configuration)
        return AseAtomsAdaptor.get_structure(self.atoms())

    def placed(self) -> Configuration:
        """The configuration with its defects where the structure has them.

        An oracle relaxes another member of the candidate's class under symmetry.
        """
        from defects.structures import from_structure, site_tolerance

        if self.relaxed is None:
            return self.configuration
        host = self.configuration.host
        return from_structure(self.structure(), host, site_tolerance(host))

    def labelled_atoms(self) -> Atoms:
        """The structure with its energy as a calculator's result and all else as ``info``."""
        from ase.calculators.singlepoint import SinglePointCalculator

        candidate = self.candidate
        atoms = self.atoms()
        # A word before the digits: readers take a key of digits alone for a number.
        atoms.info = {
            "candidate": f"key-{candidate.key}",
            "defects": candidate.description,
            "rank": candidate.rank,
            "round": candidate.round,
            "labelled_in": candidate.labelled_in,
            "relaxed": self.relaxed is not None,
        }
        atoms.info |= {
            OWN + name if name in atoms.info or _is_taken(name) else name: value
            for name, value in candidate.properties.items()
            if name != "energy"
        }
        if "energy" in candidate.properties:
            atoms.calc = SinglePointCalculator(atoms, energy=candidate.properties["energy"])
        return atoms


def _is_taken(name: str) -> bool:
    """Whether ASE refuses a name, or reads something else under it: a row's charge, its mass."""
    from ase.db.core import reserved_keys
    from ase.db.row import AtomsRow

    return name in reserved_keys or hasattr(AtomsRow, name)
