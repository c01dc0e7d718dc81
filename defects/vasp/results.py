"""What a finished VASP run found: energy, levels, structures, and whether it converged."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pymatgen.core import Structure

#: In order of preference.
_RESULTS = ("vasprun.xml", "vasprun.xml.gz", "OUTCAR", "OUTCAR.gz")
#: Folders below the given one that are looked into.
_DEPTH = 3


@dataclass(frozen=True)
class VaspRun:
    """One run.

    Attributes
    ----------
    path : Path
        The file that was read.
    initial, final : pymatgen.core.Structure or None
        First and last structure; None where even that could not be read.
    properties : dict
        ``energy`` (for zero smearing), ``fermi_level``, and where there are occupied and empty
        levels ``homo``, ``lumo``, ``homo_lumo_gap``, eV, over all k-points and spins.
    problem : str or None
        Why its numbers are no label.
    moved : bool
        Whether the atoms were relaxed.
    """

    path: Path
    initial: Structure | None
    final: Structure | None
    properties: dict[str, float] = field(default_factory=dict)
    problem: str | None = None
    moved: bool = False


def find_runs(folder: Path) -> list[Path]:
    """Result files of the runs in a folder and its subfolders, one per folder, in order of name."""
    return sorted(_results(folder, _DEPTH))


def _results(folder: Path, depth: int) -> Iterator[Path]:
    for name in _RESULTS:
        if (folder / name).is_file():
            yield folder / name
            break
    if depth:
        for inner in sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != "."):
            yield from _results(inner, depth - 1)


def read_run(path: Path) -> VaspRun:
    """Read ``vasprun.xml`` (by pymatgen) or ``OUTCAR`` (by ASE), plain or gzipped.

    A run that was cut off or did not converge comes back with its `problem`, not as an exception.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both readers tell of everything unusual
        if path.name.startswith("vasprun"):
            return _from_vasprun(path)
        return _from_outcar(path)


def _from_vasprun(path: Path) -> VaspRun:
    from pymatgen.io.vasp.outputs import Vasprun

    try:
        run = Vasprun(path, parse_potcar_file=False)  # the Fermi level stands with the DOS
    except (SyntaxError, ValueError, KeyError, IndexError, OSError, EOFError) as error:
        return VaspRun(path, None, None, problem=f"cannot be read, cut off? ({error})")
    problem = None
    if not run.converged_electronic:
        problem = f"the electrons did not converge in {run.parameters.get('NELM')} steps"
    elif not run.converged_ionic:
        problem = f"forces are left after {len(run.ionic_steps)} ionic steps"
    found = {"energy": float(run.final_energy)}
    if run.efermi is not None:
        found["fermi_level"] = float(run.efermi)
    bands = np.concatenate([np.reshape(e, (-1, 2)) for e in (run.eigenvalues or {}).values()])
    found |= _frontier(bands[:, 0], bands[:, 1])
    moved = len(run.ionic_steps) > 1
    return VaspRun(path, run.initial_structure, run.final_structure, found, problem, moved)


def _from_outcar(path: Path) -> VaspRun:
    from ase.io import ParseError, read
    from pymatgen.io.ase import AseAtomsAdaptor

    try:
        images: Any = read(path, index=":", format="vasp-out")
        text = (gzip.open if path.suffix == ".gz" else open)(path, "rt", errors="replace").read()
    except (
        ParseError,
        ValueError,
        KeyError,
        IndexError,
        OSError,
        EOFError,
        StopIteration,
    ) as error:
        return VaspRun(path, None, None, problem=f"cannot be read, cut off? ({error})")
    problem = None
    if "General timing and accounting" not in text:
        problem = "the run did not come to its end"
    elif "aborting loop because EDIFF is reached" not in text.rpartition("Iteration")[2]:
        problem = "the electrons did not converge"
    elif len(images) > 1 and "reached required accuracy" not in text:
        problem = f"forces are left after {len(images)} ionic steps"
    last = images[-1]
    found = {"energy": float(last.get_potential_energy())}
    fermi = last.calc.get_fermi_level() if last.calc.kpts else None
    if fermi is not None:
        found["fermi_level"] = float(fermi)
    if last.calc.kpts:
        energies = np.concatenate([np.ravel(k.eps_n) for k in last.calc.kpts])
        weights = np.concatenate([np.ravel(k.f_n) for k in last.calc.kpts])
        # OUTCAR counts two electrons per level without spin, one with.
        full = 1.0 if last.calc.get_number_of_spins() == 2 else 2.0
        found |= _frontier(energies, weights / full)
    first, final = (AseAtomsAdaptor.get_structure(images[i]) for i in (0, -1))
    return VaspRun(path, first, final, found, problem, len(images) > 1)


def _frontier(energies: np.ndarray, occupation: np.ndarray) -> dict[str, float]:
    """HOMO, LUMO and gap of levels that are occupied by more than half or not."""
    occupied, empty = energies[occupation > 0.5], energies[occupation <= 0.5]
    if not len(occupied) or not len(empty):
        return {}
    homo, lumo = float(occupied.max()), float(empty.min())
    return {"homo": homo, "lumo": lumo, "homo_lumo_gap": lumo - homo}
