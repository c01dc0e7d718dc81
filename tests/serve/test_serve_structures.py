"""Structures from requests: what is read, and what is refused instead of crashing."""

from __future__ import annotations

import numpy as np
import pytest
from fake_backend import FakeBackend
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.errors import StructureMismatchError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import to_structure
from serve.api import build_api
from serve.config import ServeConfig
from serve.structures import CifStructure, PlainStructure, read_structure

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_S", "W_Mo"))
CONFIGURATION = random_configuration(HOST, RULES, np.random.default_rng(0), 3)
STRUCTURE = to_structure(CONFIGURATION)
CIF = STRUCTURE.to(fmt="cif")


def plain(structure=STRUCTURE):
    return {
        "lattice": structure.lattice.matrix.tolist(),
        "species": [str(s.specie) for s in structure],
        "frac_coords": structure.frac_coords.tolist(),
    }


def test_both_forms_are_read():
    assert read_structure(CifStructure(cif=CIF), HOST) == CONFIGURATION
    assert read_structure(PlainStructure(**plain()), HOST) == CONFIGURATION


@pytest.mark.parametrize(
    "cif",
    [
        "x",
        "\n" * 1_000_000,
        " \n\t" * 300_000,
        CIF.replace("0.25", "nan"),
        CIF.replace("_cell_length_a", "_cell_length_a 1.2.3 #"),
        CIF.replace("_cell_angle_gamma   120", "_cell_angle_gamma   400"),
        CIF.replace("data_", "data_x\ndata_"),
        CIF[: len(CIF) // 2],
    ],
)
def test_damaged_files_are_refused(cif):
    with pytest.raises(StructureMismatchError):
        read_structure(CifStructure(cif=cif), HOST)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"lattice": [[0, 0, 0]] * 3}, "no volume"),
        ({"lattice": [[3, 0, 0], [0, 3, 0], [0, 0, 20]]}, "not that of MoS2-4x4x1"),
        ({"species": ["S"] * 60, "frac_coords": [[0, 0, 0]] * 60}, "60 atoms"),
        ({"species": ["S", "S"], "frac_coords": [[0, 0, 0]] * 2}, "sit on no site|share site"),
    ],
)
def test_numbers_that_are_no_such_crystal(change, said):
    with pytest.raises(StructureMismatchError, match=said):
        read_structure(PlainStructure(**{**plain(), **change}), HOST)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=CIF, max_size=400), st.integers(0, len(CIF)))
def test_any_damage_is_a_refusal_or_a_configuration(text, at):
    try:
        found = read_structure(CifStructure(cif=CIF[:at] + text + CIF[at:]), HOST)
    except StructureMismatchError:
        return
    assert found.host == HOST


def test_predict_takes_structures_and_says_what_they_were_read_as():
    client = TestClient(
        build_api(ServeConfig(base_model="m"), FakeBackend()), base_url="http://127.0.0.1"
    )
    body = {"host": "MoS2", "supercell": [4, 4, 1], "structures": [{"cif": CIF}, plain()]}
    answer = client.post("/v1/predict", json=body).json()
    assert answer["configurations"] == [CONFIGURATION.to_dict()] * 2
    assert answer["predictions"][0]["mean"]["homo_lumo_gap"] == pytest.approx(0.7)
    for change, said in (
        ({"structures": [{"cif": "x"}]}, "structure 0: only plain CIF"),
        ({"host": "/etc/x.cif"}, "unknown host"),
        ({"host": None}, "need the host"),
        ({"configurations": [CONFIGURATION.to_dict()]}, "either configurations or structures"),
        ({"structures": [{"path": "/etc/passwd"}]}, "Extra inputs"),
    ):
        reply = client.post("/v1/predict", json={**body, **change})
        assert reply.status_code == 422, said
        assert said in reply.json()["error"]["message"]
