"""What is read from VASP's results: levels over all k-points and spins, and honest failures."""

from __future__ import annotations

import numpy as np
import pytest
from vasp_runs import write_vasprun

from defects.configuration import Configuration
from defects.hosts import get_host
from defects.structures import from_structure, site_tolerance, to_structure
from defects.vasp import find_runs, read_run

HOST = get_host("MoS2", "2x2")
DEFECT = Configuration.from_changes(HOST, {5: "VAC", 0: "W"})
STRUCTURE = to_structure(DEFECT).get_sorted_structure()

#: Two spins, two k-points: HOMO is spin down at the second, LUMO spin up at the first.
LEVELS = np.array([[[-5.0, -4.0, 0.7], [-5.2, -4.1, 1.0]], [[-5.1, -4.2, 1.1], [-5.3, -3.6, 1.2]]])
FILLED = np.array([[[1, 1, 0], [1, 1, 0]], [[1, 1, 0], [1, 0.98, 0]]], dtype=float)


@pytest.mark.parametrize("name", ["vasprun.xml", "vasprun.xml.gz"])
def test_levels_of_all_k_points_and_spins(tmp_path, name):
    path = tmp_path / "run" / name
    write_vasprun(path, STRUCTURE, -123.456, LEVELS, FILLED, fermi=-1.5)
    assert find_runs(tmp_path) == [path]
    run = read_run(path)
    assert run.problem is None and not run.moved
    assert run.properties == pytest.approx(
        {"energy": -123.456, "fermi_level": -1.5, "homo": -3.6, "lumo": 0.7, "homo_lumo_gap": 4.3}
    )
    assert from_structure(run.initial, HOST).key == DEFECT.key


def test_a_relaxation_gives_both_ends(tmp_path):
    moved = STRUCTURE.copy()
    moved.translate_sites([3], [0.01, 0.0, 0.005])
    write_vasprun(tmp_path / "vasprun.xml", STRUCTURE, -1.0, LEVELS, FILLED, final=moved, nsw=50)
    run = read_run(tmp_path / "vasprun.xml")
    assert run.moved and run.problem is None
    assert from_structure(run.final, HOST, site_tolerance(HOST)).key == DEFECT.key
    assert not np.allclose(run.initial.frac_coords, run.final.frac_coords)


def test_metals_have_no_gap_between_levels_of_half_filling(tmp_path):
    half = np.full_like(FILLED, 0.3)
    write_vasprun(tmp_path / "vasprun.xml", STRUCTURE, -1.0, LEVELS, half)
    assert set(read_run(tmp_path / "vasprun.xml").properties) == {"energy", "fermi_level"}


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"steps": 60, "nelm": 60}, "electrons did not converge in 60 steps"),
        ({"nsw": 2, "final": STRUCTURE}, "forces are left after 2 ionic steps"),
        ({"cut": True}, "cannot be read, cut off"),
    ],
)
def test_a_failed_run_says_why(tmp_path, how, problem):
    write_vasprun(tmp_path / "vasprun.xml", STRUCTURE, -1.0, LEVELS, FILLED, **how)
    assert problem in read_run(tmp_path / "vasprun.xml").problem


def test_runs_are_found_once_per_folder_and_hidden_ones_are_not(tmp_path):
    for folder in ("b", "a/deep", ".trash"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "OUTCAR").write_text("")
    (tmp_path / "b" / "vasprun.xml").write_text("")
    assert find_runs(tmp_path) == [tmp_path / "a/deep/OUTCAR", tmp_path / "b/vasprun.xml"]
    assert read_run(tmp_path / "a/deep/OUTCAR").problem.startswith("cannot be read")
