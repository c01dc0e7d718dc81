"""Result files as VASP writes them, with chosen numbers: nobody may ship or run VASP in a test."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np


def _vectors(name: str, rows, indent: str = "") -> str:
    lines = "\n".join(f"{indent} <v> {' '.join(f'{x:.8f}' for x in row)} </v>" for row in rows)
    return f'{indent}<varray name="{name}">\n{lines}\n{indent}</varray>'


def _structure(structure, name: str | None) -> str:
    head = f' name="{name}"' if name else ""
    cell = np.asarray(structure.lattice.matrix)
    inverse = np.linalg.inv(cell).T
    return (
        f"<structure{head}>\n <crystal>\n{_vectors('basis', cell, '  ')}\n"
        f'  <i name="volume"> {structure.volume:.8f} </i>\n'
        f"{_vectors('rec_basis', inverse, '  ')}\n </crystal>\n"
        f"{_vectors('positions', structure.frac_coords, ' ')}\n</structure>"
    )


def _energy(value: float) -> str:
    return (
        f'<energy><i name="e_fr_energy"> {value:.8f} </i><i name="e_wo_entrp"> {value:.8f} </i>'
        f'<i name="e_0_energy"> {value:.8f} </i></energy>'
    )


def write_vasprun(
    path: Path,
    structure,
    energy: float,
    levels: np.ndarray,
    occupation: np.ndarray,
    *,
    fermi: float = 0.0,
    final=None,
    steps: int = 9,
    nelm: int = 60,
    nsw: int = 0,
    cut: bool = False,
) -> None:
    """A ``vasprun.xml``.

    Parameters
    ----------
    levels, occupation : ndarray, shape (spins, k-points, bands)
        eV, and 0..1.
    final : structure, optional
        Of a relaxation in two ionic steps.
    steps, nelm : int
        Electronic steps taken and allowed.
    cut : bool
        End in the middle, as a full disk leaves it.
    """
    spins, n_k, bands = levels.shape
    symbols = [str(s.specie.symbol) for s in structure]
    kinds = list(dict.fromkeys(symbols))
    atoms = "".join(f"<rc><c>{s}</c><c>{kinds.index(s) + 1}</c></rc>" for s in symbols)
    types = "".join(
        f"<rc><c>{symbols.count(k)}</c><c>{k}</c><c>10.0</c><c>6.0</c><c>PAW_PBE {k}</c></rc>"
        for k in kinds
    )
    eigen = "".join(
        f'<set comment="spin {s + 1}">'
        + "".join(
            f'<set comment="kpoint {k + 1}">'
            + "".join(f"<r> {levels[s, k, b]:.6f} {occupation[s, k, b]:.6f} </r>"
                      for b in range(bands))
            + "</set>"
            for k in range(n_k)
        )
        + "</set>"
        for s in range(spins)
    )  # fmt: skip
    density = "".join(
        f'<set comment="spin {s + 1}"><r> -6.0 0.0 0.0 </r><r> 2.0 1.0 8.0 </r></set>'
        for s in range(spins)
    )
    weights = [[1.0 / n_k]] * n_k
    ionic = [structure] if final is None else [structure, final]
    calculations = ""
    for number, image in enumerate(ionic):
        last = number == len(ionic) - 1
        scf = "".join(f"<scstep>{_energy(energy)}</scstep>" for _ in range(steps))
        calculations += (
            f"<calculation>\n{scf}\n{_structure(image, None)}\n"
            f"{_vectors('forces', np.zeros((len(image), 3)))}\n"
            f"{_vectors('stress', np.zeros((3, 3)))}\n{_energy(energy)}\n"
        )
        if last:
            calculations += (
                '<eigenvalues><array><dimension dim="1">band</dimension>'
                '<dimension dim="2">kpoint</dimension><dimension dim="3">spin</dimension>'
                f"<field>eigene</field><field>occ</field><set>{eigen}</set></array></eigenvalues>"
                f'<dos><i name="efermi"> {fermi:.6f} </i><total><array><set>{density}</set>'
                "</array></total></dos>"
            )
        calculations += "</calculation>\n"
    text = f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
<generator><i name="program" type="string">vasp </i><i name="version" type="string">6.4.2</i>
</generator>
<incar><i name="NELM" type="int"> {nelm}</i><i type="int" name="NSW"> {nsw}</i></incar>
<kpoints><generation param="Gamma"><v type="int" name="divisions"> 1 1 1 </v></generation>
{_vectors("kpointlist", np.zeros((n_k, 3)))}
{_vectors("weights", weights)}
</kpoints>
<parameters><separator name="electronic"><i type="int" name="NELM"> {nelm}</i>
<i type="int" name="ISPIN"> {spins}</i><i name="EDIFF"> 0.00001</i></separator>
<separator name="ionic"><i type="int" name="NSW"> {nsw}</i><i type="int" name="IBRION"> 2</i>
</separator><i type="logical" name="LEPSILON"> F </i><i type="int" name="ISPIN"> {spins}</i>
</parameters>
<atominfo><atoms> {len(symbols)} </atoms><types> {len(kinds)} </types>
<array name="atoms"><dimension dim="1">ion</dimension><field type="string">element</field>
<field type="int">atomtype</field><set>{atoms}</set></array>
<array name="atomtypes"><dimension dim="1">type</dimension><field type="int">atomspertype</field>
<field type="string">element</field><field>mass</field><field>valence</field>
<field type="string">pseudopotential</field><set>{types}</set></array></atominfo>
{_structure(structure, "initialpos")}
{calculations}{_structure(ionic[-1], "finalpos")}
</modeling>
"""
    data = text[: len(text) * 2 // 3] if cut else text
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data.encode()))
    else:
        path.write_text(data)
