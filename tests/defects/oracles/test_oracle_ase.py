"""Oracles by ASE calculators: energies, levels, and failures that say what failed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.hosts import get_host
from defects.oracles import NotConvergedError, make_oracle

sys.path.insert(0, str(Path(__file__).parent))

HOST = get_host("hBN", "3x3")
LEVELS = ("homo", "lumo")
CONFIGURATION = Configuration.from_changes(HOST, {0: "VAC", 12: "C"})  # V_B, C_N


def ase_oracle(name: str, **settings):
    return make_oracle("ase", calculator=f"oracle_calculators:{name}", **settings)


def test_energy_alone_without_potentials() -> None:
    oracle = ase_oracle("Counting")
    assert oracle.properties == ("energy", "energy_per_atom")
    energy = -(9 * 5 + 9 * 7 - 5 - 7 + 6)
    assert oracle.label(CONFIGURATION) == {"energy": energy, "energy_per_atom": energy / 17}


def test_formation_energy_with_potentials() -> None:
    potentials = {"B": -4.5, "N": -7.5, "C": -6.25}
    oracle = ase_oracle("Counting", chemical_potentials=potentials)
    labels = oracle.label(CONFIGURATION)
    # E - E0 = 5 + 7 - 6; + μ(B) + μ(N) - μ(C)
    assert labels["formation_energy"] == pytest.approx(6 - 4.5 - 7.5 + 6.25)
    assert labels["formation_energy_per_site"] == pytest.approx(labels["formation_energy"] / 2)
    assert oracle.knows_pristine(HOST) and oracle.pristine_energy(HOST) == -108.0


def test_levels_over_all_k_points() -> None:
    labels = ase_oracle("Counting", levels=True).label(CONFIGURATION)
    assert labels["homo"] == -3.5 and labels["lumo"] == 0.5 and labels["homo_lumo_gap"] == 4.0
    assert labels["fermi_level"] == -1.5


def test_a_real_calculator_of_ase(tmp_path: Path) -> None:
    oracle = make_oracle(
        "ase",
        calculator="ase.calculators.lj:LennardJones",
        arguments={"sigma": 1.4, "rc": 4.0},
        chemical_potentials={"B": -1.0, "C": -1.0, "N": -1.0},
    )
    image = CONFIGURATION.transform(HOST.symmetry[5])
    assert oracle.label(image) == oracle.label(CONFIGURATION)
    assert oracle.version.endswith(__import__("ase").__version__)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Unconverged", NotConvergedError, "no convergence in 60 steps"),
        ("NotANumber", NotConvergedError, "no finite number"),
        ("Program", OracleError, "FileNotFoundError: vasp_std"),
    ],
)
def test_failures_are_oracle_errors(name: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        ase_oracle(name).label(CONFIGURATION)


def test_wrong_arguments_and_missing_levels() -> None:
    with pytest.raises(OracleError, match="LennardJones gives no levels"):
        make_oracle("ase", calculator="ase.calculators.lj:LennardJones", levels=True).label(
            CONFIGURATION
        )
    with pytest.raises(OracleError, match="TypeError"):
        make_oracle(
            "ase", calculator="ase.calculators.test:make_test_dft_calculation", arguments={"x": 1}
        ).label(CONFIGURATION)


def test_tblite_through_ase_agrees_with_the_built_in_oracle() -> None:
    """Two ways into one library: what is left is where the self-consistent field ends.

    At accuracy 1 it ends when the energy changes by less than 1e-6 Hartree, 2.7e-5 eV.
    """
    host = get_host("MoS2", "2x2")
    configuration = Configuration.from_changes(host, {0: "W", 5: "VAC"})
    xtb = make_oracle("xtb")
    through_ase = make_oracle(
        "ase",
        calculator="tblite.ase:TBLite",
        arguments={"method": "GFN1-xTB", "verbosity": 0},
        chemical_potentials=xtb.chemical_potentials(host),
        functions={f"{name}_seen": f"oracle_functions:{name}_of_tblite" for name in LEVELS},
    )
    expected, found = xtb.label(configuration), through_ase.label(configuration)
    seen = {name: found.pop(f"{name}_seen") for name in LEVELS}
    seen |= found | {"homo_lumo_gap": seen["lumo"] - seen["homo"]}
    assert seen == pytest.approx(expected, abs=5e-5)
