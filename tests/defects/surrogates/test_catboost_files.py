"""The models of all folds: averaged piece by piece, written and read."""

from __future__ import annotations

import numpy as np
import pytest

from defects.errors import ModelError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates import catboost_files
from defects.surrogates.catboost_files import load_trees, mean_in_chunks, new_catboost, save_trees

HOST = get_host("MoS2", (4, 4, 1))
RULES = Rules(defects=("V_Mo", "V_S"), max_defects=4)


def columns(configurations) -> np.ndarray:
    return np.array([[c.counts()["V_Mo"], c.counts()["V_S"]] for c in configurations], dtype=float)


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(0)
    return [random_configuration(HOST, RULES, rng) for _ in range(50)]


@pytest.fixture(scope="module")
def trees(some):
    made = []
    for seed in range(3):
        tree = new_catboost(iterations=5, random_seed=seed, verbose=0, allow_writing_files=False)
        made.append(tree.fit(columns(some), columns(some) @ [1.0, seed]))
    return made


def test_the_mean_is_the_same_in_pieces_of_any_length(monkeypatch, trees, some) -> None:
    whole = np.mean([t.predict(columns(some)) for t in trees], axis=0)
    for length in (7, 50, 2048):
        monkeypatch.setattr(catboost_files, "CHUNK", length)
        widths = []

        def transform(rows, widths=widths):
            widths.append(len(rows))
            return columns(rows)

        np.testing.assert_allclose(mean_in_chunks(trees, some, transform, 1), whole)
        assert max(widths) == min(length, 50)
        assert sum(widths) == 50
    assert mean_in_chunks(trees, [], columns, 1).shape == (0,)


def test_models_of_all_folds_are_read_in_their_order(tmp_path, trees, some) -> None:
    files = save_trees(trees, tmp_path, "kind")
    assert files == ["kind0.cbm", "kind1.cbm", "kind2.cbm"]
    for before, after in zip(trees, load_trees(tmp_path, files), strict=True):
        np.testing.assert_array_equal(before.predict(columns(some)), after.predict(columns(some)))
    (tmp_path / files[1]).write_text("no model")
    with pytest.raises(ModelError, match=r"kind1\.cbm is no CatBoost model"):
        load_trees(tmp_path, files)
