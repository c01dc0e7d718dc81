"""The graph network learns what distances alone do not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from defects.encodings.sparse import SparseEncoder
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates.encoded import Encoded
from training.surrogate_graph import fit_graph
from training.surrogate_metrics import grouped_folds
from training.surrogate_task import FitOptions, FitTask

torch = pytest.importorskip("torch")

HOST = get_host("MoS2", (3, 3, 1))
ENCODER = SparseEncoder(HOST, ("V_Mo", "V_S", "Se_S"))
SMALL = {"seen": 16, "width": 16, "steps": 80, "batch": 32, "seeds": 1, "dropout": 0.0}


def task(n: int = 100) -> FitTask:
    rng = np.random.default_rng(0)
    rules = Rules(defects=ENCODER.defects, min_defects=2, max_defects=3)
    known = [random_configuration(HOST, rules, rng) for _ in range(n)]
    values = []
    for c in known:
        sites = [d.site for d in c.defects]
        r = HOST.distances[np.ix_(sites, sites)][np.triu_indices(len(sites), 1)]
        values.append(1.2 - 0.6 * ("V_Mo" in c.counts()) - np.exp(-r / 3).max())
    return FitTask(
        "homo_lumo_gap",
        Encoded(known, ENCODER),
        np.array(values),
        grouped_folds([c.key for c in known], 2, 0),
    )


def test_learns_and_comes_back_from_its_folder(tmp_path: Path) -> None:
    from defects.surrogates.graph_model import GraphModel

    problem = task()
    state = torch.random.get_rng_state()
    fit = fit_graph(problem, FitOptions(2, 1, 0, 1, params=SMALL))
    assert torch.equal(torch.random.get_rng_state(), state)
    error = np.abs(problem.held_out_mean(fit) - problem.values).mean()
    assert error < 0.75 * np.abs(problem.values - problem.values.mean()).mean()
    assert fit.report["networks"] == len(fit.model.networks) == 2
    fit.model.save(tmp_path)
    again = GraphModel.load(tmp_path, ENCODER)
    assert again.predict(problem.batch) == pytest.approx(fit.model.predict(problem.batch))


def test_a_seed_fixes_the_networks() -> None:
    problem = task(30)
    few = {**SMALL, "steps": 5}
    first, same, other = (
        fit_graph(problem, FitOptions(2, 1, seed, 1, params=few)).held_out for seed in (1, 1, 2)
    )
    assert first.tolist() == same.tolist()
    assert first.tolist() != other.tolist()
