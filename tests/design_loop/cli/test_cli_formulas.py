"""``design-loop surrogate formulas``."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from training.surrogate import fit_surrogate

pytest.importorskip("catboost")

HOST = get_host("MoS2", (3, 3, 1))
RULES = Rules(defects=("V_Mo", "V_S"), max_defects=3)


def surrogate(folder: Path, kind: str, **params: object) -> Path:
    """A surrogate of an energy that pairs lower by exp(-r/2)."""
    rng = np.random.default_rng(0)
    known = [random_configuration(HOST, RULES, rng) for _ in range(40)]
    energies = []
    for c in known:
        sites = [d.site for d in c.defects]
        r = HOST.distances[np.ix_(sites, sites)][np.triu_indices(len(sites), 1)]
        energies.append(2.0 * len(sites) - np.exp(-r / 2).sum())
    fit_surrogate(
        known,
        {"formation_energy": np.array(energies)},
        HOST,
        folder,
        model=kind,
        iterations=10,
        threads=1,
        params={kind: params},
    )
    return folder


def test_prints_and_draws_the_formulas(cli, tmp_path: Path) -> None:
    pytest.importorskip("pyoperon")
    folder = surrogate(tmp_path / "s", "formula", population=20, generations=2)
    drawing = tmp_path / "formulas.svg"
    done = cli("surrogate", "formulas", folder, "--out", drawing)
    assert done.code == 0
    assert "formation_energy\n" in done.out
    for kinds in ("V_Mo, V_Mo", "V_Mo, V_S", "V_S, V_S"):
        assert f"V[{kinds}] = " in done.out
    text = next(folder.rglob("formulas.txt")).read_text()
    assert text in done.out
    root = ElementTree.fromstring(drawing.read_text())
    assert sum(e.tag.endswith("circle") for e in root.iter()) > 3


def test_a_surrogate_without_formulas_says_so(cli, tmp_path: Path) -> None:
    done = cli("surrogate", "formulas", surrogate(tmp_path / "s", "shells"))
    assert done.code == 1
    assert "shells" in done.err
    assert "--model formula" in done.err
    assert "Traceback" not in done.err
