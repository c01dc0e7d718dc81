"""Contrastive embeddings: what training must teach, and what holds whatever it taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates.embedding_model import EmbeddingModel, polynomials
from defects.surrogates.embedding_network import EmbeddingNetwork, NetworkShape, initial_parameters
from defects.surrogates.encoded import Encoded

torch = pytest.importorskip("torch")

from training.contrastive import (  # noqa: E402
    ContrastiveSettings,
    PlacementSource,
    alignment,
    contrastive_loss,
    pretrain_embedding,
)
from training.embedding_cache import pretrained_embedding  # noqa: E402
from training.surrogate_embedding import fit_embedding  # noqa: E402
from training.surrogate_task import FitOptions, FitTask  # noqa: E402

HOST = get_host("MoS2", (3, 3, 1))
DEFECTS = ("V_Mo", "V_S", "Se_S")
RULES = Rules(defects=DEFECTS, max_defects=3)
SHAPE = NetworkShape(width=16, pair_width=16, rounds=1, images=3)
QUICK = ContrastiveSettings(
    steps=120,
    compositions=8,
    placements=8,
    learning_rate=1e-2,
    shape=NetworkShape(width=32, pair_width=32, rounds=1, images=3),
)
ENCODER = SparseEncoder(HOST, DEFECTS, 3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pretrained_embedding.cache_clear()
    monkeypatch.setenv("DESIGN_LOOP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "embeddings"


def untrained() -> EmbeddingNetwork:
    parameters = initial_parameters(HOST, len(DEFECTS), SHAPE, np.random.default_rng(0))
    return EmbeddingNetwork(HOST, DEFECTS, SHAPE, parameters)


def sample(n: int, seed: int = 0) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    return [random_configuration(HOST, RULES, rng) for _ in range(n)]


def labels(configurations: list[Configuration]) -> np.ndarray:
    """Set by counts and by how near two defects are."""
    found = []
    for c in configurations:
        sites = [d.site for d in c.defects]
        pairs = HOST.distances[np.ix_(sites, sites)][np.triu_indices(len(sites), 1)]
        found.append(c.counts()["V_Mo"] - 0.5 * c.counts()["V_S"] + np.exp(-pairs / 2).sum())
    return np.array(found)


class TestPlacements:
    source = PlacementSource(HOST, DEFECTS, 3, seed=0)

    def test_defects_lie_on_sites_of_their_own(self) -> None:
        arrays = self.source.batch(40, 4)
        for sites, kinds in zip(arrays.sites, arrays.kinds, strict=True):
            present = sites[kinds >= 0]
            assert len(set(present)) == len(present) >= 1
            wanted = ["Mo" if k == 0 else "S" for k in kinds if k >= 0]
            assert [HOST.species[s] for s in present] == wanted

    def test_classes_are_those_of_the_canonical_key(self) -> None:
        arrays = self.source.batch(20, 8)
        names = [[("VAC", "VAC", "Se")[k] for k in row] for row in arrays.kinds]
        keys = [
            Configuration.from_changes(
                HOST, {int(s): n for s, n, k in zip(sites, row, kinds, strict=True) if k >= 0}
            ).key
            for sites, row, kinds in zip(arrays.sites, names, arrays.kinds, strict=True)
        ]
        classes = self.source.classes(arrays)
        same = np.array(keys)[:, None] == np.array(keys)[None]
        np.testing.assert_array_equal(classes[:, None] == classes[None], same)
        assert 1 < len(set(keys)) < len(keys)
        np.testing.assert_array_equal(self.source.classes(self.source.image(arrays)), classes)


def test_loss_rewards_partners_and_spares_equivalent_others() -> None:
    near = torch.eye(4)
    classes = np.arange(4)
    matched = contrastive_loss(near, near, classes, 0.1)
    assert matched < 0.01 < contrastive_loss(near, near.roll(1, 0), classes, 0.1)
    # Two rows alike: no loss when they are one class, some when they are not.
    twins = near[[0, 0, 2, 3]]
    assert contrastive_loss(twins, twins, np.array([0, 0, 2, 3]), 0.1) < 0.01
    assert contrastive_loss(twins, twins, classes, 0.1) > 0.3


@pytest.fixture(scope="module")
def trained() -> EmbeddingNetwork:
    return pretrain_embedding(HOST, DEFECTS, 3, QUICK)


def test_training_teaches_alignment(trained: EmbeddingNetwork) -> None:
    before, after = alignment(untrained(), 3), alignment(trained, 3)
    assert after["others"] < 0.5 * before["others"]
    assert after["same_composition"] < 0.9 * before["same_composition"]
    assert 0 < after["others"] < after["same_composition"]


def test_training_repeats_and_leaves_torchs_random_state_alone(trained: EmbeddingNetwork) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    short = ContrastiveSettings(steps=3, compositions=4, placements=4, shape=SHAPE)
    one, two = (pretrain_embedding(HOST, DEFECTS, 3, short) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    for name, value in one.parameters.items():
        np.testing.assert_array_equal(value, two.parameters[name])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), operation=st.integers(1, len(HOST.symmetry) - 1))
def test_embeddings_in_use_are_invariant(seed: int, operation: int) -> None:
    """Even of a network that was taught nothing, whose raw output is not."""
    configuration = sample(1, seed)[0]
    image = configuration.transform(HOST.symmetry[operation])
    one, two = untrained().embed(Encoded([configuration, image], ENCODER))
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-7)


def test_raw_output_is_not_invariant_by_construction() -> None:
    network, configuration = untrained(), sample(1, 3)[0]
    image = configuration.transform(HOST.symmetry[5])
    raw = network.raw(Encoded([configuration, image], ENCODER).arrays)
    assert np.linalg.norm(raw[0] - raw[1]) > 1e-3


def test_order_and_padding_do_not_matter() -> None:
    some = sample(30, 4)
    alone = np.concatenate([untrained().embed(Encoded([c], ENCODER)) for c in some])
    np.testing.assert_allclose(untrained().embed(Encoded(some, ENCODER)), alone, atol=1e-6)


def test_polynomials_of_second_degree() -> None:
    found = polynomials(np.array([[2.0, 3.0]]))
    assert found.tolist() == [[1, 2, 3, 4, 6, 9]]


@pytest.mark.parametrize("regressor", ["trees", "ridge"])
def test_fit_predicts_saves_and_loads(regressor: str, tmp_path: Path) -> None:
    known = sample(120)
    task = FitTask("homo", Encoded(known, ENCODER), labels(known), np.arange(120) % 3)
    params = {"regressor": regressor, "width": 16, "pretraining_steps": 5}
    options = FitOptions(n_folds=3, iterations=60, seed=0, threads=1, params=params)
    fit = fit_embedding(task, options)
    error = np.abs(task.held_out_mean(fit) - task.values).mean()
    assert error < 0.7 * np.abs(task.values - task.values.mean()).mean()
    assert set(fit.report["alignment"]) == {"others", "same_composition"}
    (tmp_path / "m").mkdir()
    fit.model.save(tmp_path / "m")
    again = EmbeddingModel.load(tmp_path / "m", ENCODER)
    new = Encoded(sample(20, 9), ENCODER)
    np.testing.assert_array_equal(again.predict(new), fit.model.predict(new))
    assert not [p for p in (tmp_path / "m").iterdir() if p.suffix not in {".cbm", ".json"}][1:]


def test_held_out_predictions_have_not_seen_their_fold() -> None:
    known = sample(90)
    values = labels(known)
    params = {"regressor": "ridge", "width": 16, "pretraining_steps": 5}
    options = FitOptions(3, 30, 0, 1, params=params)
    folds = np.arange(90) % 3
    first = fit_embedding(FitTask("homo", Encoded(known, ENCODER), values, folds), options)
    changed = np.where(folds == 0, values + np.random.default_rng(0).normal(0, 1, 90), values)
    task = FitTask("homo", Encoded(known, ENCODER), changed, folds)
    second = fit_embedding(task, options)
    rows = folds == 0
    ratio = task.scale / FitTask("homo", Encoded(known, ENCODER), values, folds).scale
    np.testing.assert_allclose(second.held_out[rows] * ratio, first.held_out[rows], rtol=1e-6)


class TestCache:
    def test_reused_and_mended(self, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
        short = ContrastiveSettings(steps=2, compositions=4, placements=4, shape=SHAPE)
        first = pretrained_embedding(HOST, DEFECTS, 3, short)
        (file,) = cache.iterdir()
        stamp = file.stat().st_mtime_ns
        pretrained_embedding.cache_clear()
        again = pretrained_embedding(HOST, DEFECTS, 3, short)
        np.testing.assert_array_equal(again.parameters["last"], first.parameters["last"])
        assert file.stat().st_mtime_ns == stamp

        file.write_bytes(file.read_bytes()[:-100])
        pretrained_embedding.cache_clear()
        mended = pretrained_embedding(HOST, DEFECTS, 3, short)
        assert "trained again" in caplog.text
        np.testing.assert_array_equal(mended.parameters["last"], first.parameters["last"])
        assert EmbeddingNetwork.load(file, ENCODER).shape == SHAPE

    def test_other_settings_are_another_embedding(self, cache: Path) -> None:
        for steps in (1, 2):
            short = ContrastiveSettings(steps=steps, compositions=2, placements=2, shape=SHAPE)
            pretrained_embedding(HOST, DEFECTS, 3, short)
        assert len(list(cache.iterdir())) == 2

    def test_a_folder_that_cannot_be_written_costs_only_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("DESIGN_LOOP_CACHE", str(tmp_path / "file"))
        short = ContrastiveSettings(steps=1, compositions=2, placements=2, shape=SHAPE)
        assert pretrained_embedding(HOST, DEFECTS, 3, short).defects == DEFECTS
        assert "not kept" in caplog.text


def test_equal_networks_make_equal_files(tmp_path: Path) -> None:
    found = set()
    for number in range(5):
        untrained().save(tmp_path / f"{number}.safetensors")
        found.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(found) == 1


def test_an_embedding_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    untrained().save(tmp_path / "e.safetensors")
    with pytest.raises(ModelError, match=r"V_Mo.*on MoS2-3x3x1, the surrogate has V_S"):
        EmbeddingNetwork.load(tmp_path / "e.safetensors", SparseEncoder(HOST, ("V_S",)))
    with pytest.raises(ModelError, match="regressor 'forest'"):
        known = sample(30)
        task = FitTask("homo", Encoded(known, ENCODER), labels(known), np.arange(30) % 3)
        fit_embedding(task, FitOptions(3, 10, 0, 1, params={"regressor": "forest"}))
