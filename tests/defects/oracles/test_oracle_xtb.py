"""GFN1-xTB for real: agreement with the shipped labels, failures, silence."""

from __future__ import annotations

import pytest

from defects.configuration import Configuration
from defects.datasets import bundled_dataset
from defects.hosts import get_host
from defects.oracles import NotConvergedError, make_oracle

pytestmark = pytest.mark.slow
SMALL = get_host("MoS2", "2x2")


@pytest.mark.parametrize("description", ["V_S", "V_Mo", "Se_S+W_Mo"])
def test_labels_agree_with_the_shipped_ones(
    description: str, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = bundled_dataset("xtb-mos2-4x4")
    record = next(r for r in dataset if r.configuration.description == description)
    image = record.configuration.transform(dataset.host.symmetry[101])
    labels = make_oracle("xtb").label(image)
    assert labels == pytest.approx(record.properties, abs=5e-5)
    assert capfd.readouterr() == ("", "")


def test_pristine_energy_is_computed_once_for_other_supercells() -> None:
    oracle = make_oracle("xtb")
    assert not oracle.knows_pristine(SMALL)
    pristine = oracle.single_point(Configuration(SMALL, ()))["energy"]
    labels = oracle.label(Configuration.from_changes(SMALL, {5: "VAC"}))
    assert oracle.knows_pristine(SMALL)
    expected = labels["energy"] - pristine + oracle.chemical_potentials(SMALL)["S"]
    assert labels["formation_energy"] == pytest.approx(expected, abs=1e-6)
    assert oracle.label(Configuration(SMALL, ()))["formation_energy"] == pytest.approx(0, abs=1e-6)


def test_without_a_potential_there_are_energies_but_no_formation_energies() -> None:
    labels = make_oracle("xtb").label(Configuration.from_changes(SMALL, {5: "Te"}))
    assert set(labels) == {"energy", "energy_per_atom", "homo", "lumo", "homo_lumo_gap"}


def test_no_convergence_is_an_error_of_its_own() -> None:
    with pytest.raises(NotConvergedError, match=r"GFN1-xTB of V_S on MoS2-2x2x1 failed"):
        make_oracle("xtb", max_iterations=2).label(Configuration.from_changes(SMALL, {5: "VAC"}))


def test_indium_needs_another_method() -> None:
    host = get_host("InSe", "2x2")
    vacancy = Configuration.from_changes(host, {9: "VAC"})
    with pytest.raises(NotConvergedError, match="eigenvalue problem"):
        make_oracle("xtb").label(vacancy)
    labels = make_oracle("xtb", method="GFN2-xTB").label(vacancy)
    assert 0 < labels["formation_energy"] < 10
