"""The kinds on SLICES tokens and dscribe's descriptors: fitted, saved, read again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates.encoded import Encoded
from defects.surrogates.kinds import model_class
from training.surrogate_kinds import fit_kind, missing
from training.surrogate_metrics import grouped_folds
from training.surrogate_task import FitOptions, FitTask

HOST = get_host("MoS2", (3, 3, 1))
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=3)
ENCODER = SparseEncoder(HOST, RULES.defects)
FILES = {"slices": "slices.json", "soap": "descriptor.json"}
FILES |= {"coulomb": "descriptor.json", "sine": "descriptor.json"}


def truth(configuration: Configuration) -> float:
    """Set by what there is and by whether two defects touch, eV."""
    single = {"V_Mo": 0.4, "V_S": 1.0, "W_Mo": 1.8, "Se_S": 1.7}
    sites = [d.site for d in configuration.defects]
    pairs = HOST.distances[np.ix_(sites, sites)][np.triu_indices(len(sites), 1)]
    return sum(single[n] for n in configuration.counts().elements()) + 0.3 * (pairs < 3).sum()


def task_of(name: str) -> FitTask:
    rng = np.random.default_rng(0)
    some = [random_configuration(HOST, RULES, rng) for _ in range(300)]
    batch = Encoded(some, ENCODER)
    values = np.array([truth(c) for c in some]) / batch.divisor(name)
    return FitTask(name, batch, values, grouped_folds([c.key for c in some], 3, seed=1))


def options(**params: object) -> FitOptions:
    return FitOptions(n_folds=3, iterations=40, seed=2, threads=1, params=params)


#: A narrow one for speed.
NARROW = {"soap": {"n_max": 2, "l_max": 1, "column_share": 1.0}}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", ["homo_lumo_gap", "formation_energy_per_site"])
def test_fit_save_load(kind: str, name: str, tmp_path: Path) -> None:
    if missing(kind):
        pytest.skip(missing(kind))
    task = task_of(name)
    fit = fit_kind(kind, task, options(**NARROW.get(kind, {})))
    error = np.abs(task.held_out_mean(fit) - task.values).mean()
    spread = np.abs(task.values - task.values.mean()).mean()
    assert error < 0.8 * spread
    fit.model.save(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".cbm", ".json"}
    again = model_class(kind).load(tmp_path, ENCODER)
    np.testing.assert_allclose(again.predict(task.batch), fit.model.predict(task.batch))
    # The models of all folds together have seen every label: nearer than those that had not.
    seen = fit.model.predict(task.batch)
    target = task.total if fit.model.space == "total" else task.z[-1]
    assert np.abs(seen - target).mean() < np.abs(fit.held_out - target).mean()
    image = [c.transform(HOST.symmetry[7]) for c in task.batch.configurations]
    np.testing.assert_allclose(again.predict(Encoded(image, ENCODER)), seen)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_folders_are_named(kind: str, tmp_path: Path) -> None:
    if missing(kind):
        pytest.skip(missing(kind))
    with pytest.raises(ModelError, match="holds no readable"):
        model_class(kind).load(tmp_path, ENCODER)
    fit_kind(kind, task_of("homo_lumo_gap"), options(**NARROW.get(kind, {}))).model.save(tmp_path)
    data = json.loads((tmp_path / FILES[kind]).read_text())
    (tmp_path / data["files"][0]).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is no CatBoost model"):
        model_class(kind).load(tmp_path, ENCODER)
    (tmp_path / FILES[kind]).write_text(json.dumps({**data, "files": []}))
    with pytest.raises(ModelError, match="0 models"):
        model_class(kind).load(tmp_path, ENCODER)


def test_tokens_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    fit_kind("slices", task_of("homo_lumo_gap"), options()).model.save(tmp_path)
    other = SparseEncoder(HOST, (*RULES.defects, "Te_S"))
    with pytest.raises(ModelError, match="train it again"):
        model_class("slices").load(tmp_path, other)


def test_slices_are_fitted_to_the_property_itself() -> None:
    """As published: without this project's baseline, so two scales of the total change nothing."""
    task = task_of("formation_energy_per_site")
    fit = fit_kind("slices", task, options())
    np.testing.assert_allclose(fit.held_out / task.divisor, task.held_out_mean(fit))
    low, high = task.values.min(), task.values.max()
    inside = task.held_out_mean(fit)
    assert low - 0.2 < inside.min() < inside.max() < high + 0.2


def test_settings_of_soap_reach_its_model() -> None:
    if missing("soap"):
        pytest.skip(missing("soap"))
    fit = fit_kind("soap", task_of("homo_lumo_gap"), options(cutoff=4.0, n_max=2, l_max=1))
    assert fit.report["cutoff"] == 4.0
    assert fit.model.descriptor.spec() == {"cutoff": 4.0, "n_max": 2, "l_max": 1, "sigma": 0.5}
    with pytest.raises(ModelError, match="has no form"):
        fit_kind("soap", task_of("homo_lumo_gap"), options(form="counts"))
