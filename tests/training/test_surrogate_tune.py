"""The search for hyperparameters, with a real Ray: what a kill leaves, and what comes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from surrogate_data import dataset

from defects.datasets.writer import write_dataset
from defects.errors import DatasetError, ModelError
from defects.surrogates import load_surrogate
from training import surrogate_tune
from training.surrogate_cells import Problem, Settings
from training.surrogate_tune import open_study, tune
from training.tune_plot import history_svg

SETTINGS = Settings(folds=2, iterations=8)


@pytest.fixture
def problem():
    return Problem(dataset(n=40, with_levels=0), "homo_lumo_gap")


def test_an_interrupted_trial_is_asked_for_again(problem, tmp_path):
    study = open_study(tmp_path, problem, "trees", SETTINGS)
    finished, killed = study.ask(), study.ask()
    finished.suggest_int("depth", 3, 8)
    study.tell(finished, 0.25)
    depth = killed.suggest_int("depth", 3, 8)
    again = open_study(tmp_path, problem, "trees", SETTINGS)
    assert [t.state.name for t in again.trials] == ["COMPLETE", "FAIL", "WAITING"]
    assert again.ask().suggest_int("depth", 3, 8) == depth
    assert again.best_value == 0.25


def test_a_study_of_other_labels_or_settings_is_refused(problem, tmp_path):
    open_study(tmp_path, problem, "trees", SETTINGS)
    with pytest.raises(DatasetError, match="a search with other folds"):
        open_study(tmp_path, problem, "trees", Settings(folds=3, iterations=8))
    other = Problem(dataset(n=41, with_levels=0), "homo_lumo_gap")
    with pytest.raises(DatasetError, match="a search with other labels"):
        open_study(tmp_path, other, "trees", SETTINGS)


def test_unknown_kinds_are_refused_before_ray_starts(tmp_path):
    with pytest.raises(ModelError, match="forest"):
        tune("d", "homo_lumo_gap", tmp_path / "out", kinds=["forest"])
    assert not (tmp_path / "out").exists()


def test_the_figure_has_every_trial_and_stands_alone():
    drawing = history_svg([(0, 0.02), (2, 0.01), (3, 0.5)], 0.02, "gap, trees")
    assert drawing.count("<circle") == 3
    assert "best 10.00 meV" in drawing
    assert "href" not in drawing


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_search_goes_on_where_it_was(problem, tmp_path):
    """kill -9 in the middle; the second call computes only what is missing, and refits the best."""
    import optuna

    data, out = tmp_path / "data", tmp_path / "out"
    write_dataset(dataset(n=40, with_levels=0), data)
    words = ["surrogate", "tune", "--data", data, "--property", "homo_lumo_gap", "--out", out,
             "--trials", 5, "--folds", 2, "--iterations", 8, "--parallel", 1, "--cpus", 2,
             "--format", "json"]  # fmt: skip
    command = [sys.executable, "-m", "design_loop.cli", *map(str, words)]
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 300
        while " 2 of 5: MAE" not in (tmp_path / "log").read_text():
            assert first.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()

    def trials():
        backend = optuna.storages.journal.JournalFileBackend(str(out / "study.journal"))
        storage = optuna.storages.JournalStorage(backend)
        return optuna.load_study(study_name="homo_lumo_gap--trees", storage=storage).trials

    before = {t.number: t for t in trials() if t.value is not None}
    assert 2 <= len(before) < 5
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    after = [t for t in trials() if t.value is not None]
    assert len(after) == 5
    assert {t.number: t.value for t in after if t.number in before} == {
        number: t.value for number, t in before.items()
    }
    assert [t.user_attrs["params"] for t in after].count({}) == 1
    (found,) = json.loads(done.stdout)
    assert found["mae"] == min(t.value for t in after) <= found["mae_of_defaults"]
    surrogate = load_surrogate(out / found["model"])
    assert surrogate.manifest["params"] == {"trees": found["params"]}
    assert surrogate.manifest["properties"]["homo_lumo_gap"]["metrics"]["mae"] == pytest.approx(
        found["mae"], rel=0.5
    )
    assert (out / "trees.csv").read_text().count("COMPLETE") == 5


@pytest.mark.slow
def test_a_trial_that_fails_does_not_end_the_search(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(surrogate_tune, "resolve_dataset", lambda _: dataset(40, 0))
    bad = {"depth": 3, "no_such": 1}
    draws = iter([bad, {"depth": 2}])

    def draw(trial):
        trial.suggest_int("depth", 2, 3)
        return next(draws)

    monkeypatch.setattr(surrogate_tune, "search_space", lambda kind: draw)
    (found,) = tune(
        "d", "homo_lumo_gap", tmp_path, trials=3, settings=SETTINGS, in_flight=1, tell=print
    )
    assert found.params in ({}, {"depth": 2})
    assert "TreeSettings has no no_such" in (tmp_path / "trees.csv").read_text()
