"""Fits on a made-up property whose truth is known, small enough for unit tests."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.errors import DatasetError, ModelError
from defects.hosts import Host, get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates import load_surrogate
from defects.surrogates.encoded import Encoded
from defects.surrogates.jackknife import jackknife_error
from defects.surrogates.property_model import PropertyModel
from training.surrogate import fit_surrogate, make_encoder, train_from_dataset

RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=4)
HOST = get_host("MoS2", (4, 4, 1))
SINGLE = {"V_Mo": 2.5, "V_S": 1.5, "W_Mo": 0.2, "Se_S": 0.1}


def truth(configuration: Configuration) -> float:
    """A sum over defects and pairs, eV."""
    sites = [d.site for d in configuration.defects]
    pairs = HOST.distances[np.ix_(sites, sites)][np.triu_indices(len(sites), 1)]
    singles = sum(SINGLE[n] * k for n, k in configuration.counts().items())
    return float(singles + np.exp(-pairs / 2.0).sum())


def noisy(configuration: Configuration) -> float:
    """Formation energy per defect with what no feature explains, 20 meV, fixed per class."""
    noise = np.random.default_rng(int(configuration.key, 16)).normal(0, 0.02)
    return truth(configuration) / configuration.n_defects + float(noise)


def gap(configuration: Configuration) -> float:
    """Set by the worst defect, as gaps are, eV."""
    levels = {"V_Mo": 0.4, "V_S": 1.0, "W_Mo": 1.8, "Se_S": 1.79}
    return min(levels[n] for n in configuration.counts()) - 0.01 * configuration.n_defects


def sample(n: int, seed: int) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    return [random_configuration(HOST, RULES, rng) for _ in range(n)]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "surrogate"
    known = sample(200, 0)
    gaps = np.array([gap(c) for c in known])
    gaps[::3] = np.nan
    values = {
        "formation_energy_per_site": np.array([noisy(c) for c in known]),
        "homo_lumo_gap": gaps,
    }
    fit_surrogate(known, values, HOST, folder, rules=RULES, iterations=150, threads=1)
    return folder


def test_predicts_what_it_has_not_seen(fitted: Path) -> None:
    surrogate = load_surrogate(fitted)
    new = sample(200, 1)
    found = surrogate.predict(new)
    assert (
        found.properties == surrogate.properties == ("formation_energy_per_site", "homo_lumo_gap")
    )
    assert found.mean.shape == found.std.shape == (200, 2)
    energies = np.array([truth(c) / c.n_defects for c in new])
    gaps = np.array([gap(c) for c in new])
    assert np.abs(found.mean[:, 0] - energies).mean() < 0.03
    assert np.abs(found.mean[:, 1] - gaps).mean() < 0.05
    assert (found.std > 0).all()


def test_manifest_says_what_was_done(fitted: Path) -> None:
    manifest = json.loads((fitted / "manifest.json").read_text())
    energy = manifest["properties"]["formation_energy_per_site"]
    assert energy["model"] in ("pairs", "stack")
    assert energy["n_labels"] == 200
    assert set(energy["mae_by_model"]) == {"pairs", "trees", "stack"}
    assert 0.8 <= energy["metrics"]["coverage_90"] <= 1.0
    assert manifest["properties"]["homo_lumo_gap"]["n_labels"] == 133
    assert manifest["domain"]["max_defects"] == 4
    assert manifest["host"]["key"] == HOST.key
    assert len(manifest["data_sha256"]) == 64
    assert not list(fitted.rglob("*.pkl"))
    assert [p for p in fitted.parent.iterdir() if p.name.startswith(".")] == []


def test_intervals_cover_new_labels(fitted: Path) -> None:
    new = sample(600, 2)
    found = load_surrogate(fitted).predict(new)
    error = np.abs(found.mean[:, 0] - np.array([noisy(c) for c in new]))
    assert 0.84 < (error <= 1.645 * found.std[:, 0]).mean() < 0.96


def test_the_spread_grows_where_the_mean_hangs_on_few_labels(tmp_path: Path) -> None:
    # One of the labels alone says what a pair of vacancies of Mo does.
    known = [c for c in sample(240, 6) if c.counts()["V_Mo"] < 2]
    pairs = [c for c in sample(400, 7) if c.counts()["V_Mo"] >= 2]
    known.append(pairs.pop())
    values = {"homo_lumo_gap": np.array([gap(c) - c.counts()["V_Mo"] ** 2 for c in known])}
    manifest = fit_surrogate(
        known, values, HOST, tmp_path / "s", rules=RULES, iterations=60, model="trees", threads=1
    )
    assert manifest["properties"]["homo_lumo_gap"]["interval"]["jackknife"] > 0
    surrogate = load_surrogate(tmp_path / "s")
    [model] = surrogate.models
    batch = Encoded(pairs, surrogate.encoder)
    assert model.jackknife
    mean, std = model.predict(batch)
    np.testing.assert_allclose(mean, model.mean.predict(batch), atol=1e-12)
    model.jackknife = False
    _, without = model.predict(batch)
    # Hardly any model knows of them, so held-out errors say nothing of theirs.
    assert np.median(std / without) > 2
    usual = Encoded(known[:100], surrogate.encoder)
    _, narrow = model.predict(usual)
    model.jackknife = True
    assert np.median(model.predict(usual)[1] / narrow) < 2


def test_held_out_doubts_are_like_those_of_new_configurations(tmp_path: Path) -> None:
    known, new = sample(200, 8), sample(200, 9)
    values = {"formation_energy_per_site": np.array([noisy(c) for c in known])}
    manifest = fit_surrogate(
        known, values, HOST, tmp_path / "s", rules=RULES, iterations=60, model="trees", threads=1
    )
    surrogate = load_surrogate(tmp_path / "s")
    doubt = jackknife_error(surrogate.models[0].mean.by_fold(Encoded(new, surrogate.encoder)))
    held_out = manifest["properties"]["formation_energy_per_site"]["interval"]["jackknife"]
    # Two degrees of freedom against nine: the median of the former is lower, not by half.
    assert 0.5 * np.median(doubt) < held_out < 1.5 * np.median(doubt)


def test_a_spread_that_goes_without_the_jackknife_for_lack_of_time_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = sample(80, 10)
    values = {"homo_lumo_gap": np.array([gap(c) for c in known])}
    with caplog.at_level("INFO", "training.surrogate_property"):
        manifest = fit_surrogate(
            known, values, HOST, tmp_path / "s", rules=RULES, iterations=5, model="trees",
            threads=1, budget_s=1e-6,
        )  # fmt: skip
    assert manifest["properties"]["homo_lumo_gap"]["interval"]["jackknife"] is None
    assert not load_surrogate(tmp_path / "s").models[0].jackknife
    [said] = [r.getMessage() for r in caplog.records if "jackknife" in r.getMessage()]
    assert said.startswith("homo_lumo_gap: the time for fitting is up")


def test_a_model_of_an_older_version_has_no_jackknife(fitted: Path, tmp_path: Path) -> None:
    found = load_surrogate(fitted)
    model = found.models[1]
    assert model.mean.kind == "trees" and model.jackknife
    model.save(tmp_path)
    assert PropertyModel.load(tmp_path, found.encoder).jackknife
    (tmp_path / "model.json").write_text(json.dumps({"calibration": model.calibration}))
    assert not PropertyModel.load(tmp_path, found.encoder).jackknife


def test_symmetric_images_have_one_prediction(fitted: Path) -> None:
    surrogate = load_surrogate(fitted)
    some = sample(20, 3)
    rng = np.random.default_rng(0)
    images = [c.transform(HOST.symmetry[rng.integers(len(HOST.symmetry))]) for c in some]
    np.testing.assert_allclose(surrogate.predict(some).mean, surrogate.predict(images).mean)


def test_same_seed_same_predictions(tmp_path: Path) -> None:
    known = sample(60, 4)
    values = {"homo_lumo_gap": np.array([gap(c) for c in known])}
    found = []
    for name in ("a", "b"):
        manifest = fit_surrogate(
            known, values, HOST, tmp_path / name, rules=RULES, iterations=40, threads=1
        )
        found.append((load_surrogate(tmp_path / name).predict(known).mean, manifest))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1]["data_sha256"] == found[1][1]["data_sha256"]
    assert found[0][1]["files"] == found[1][1]["files"]


def test_outside_the_labels_is_flagged(fitted: Path) -> None:
    surrogate = load_surrogate(fitted)
    few = Configuration.from_changes(HOST, {0: "W", 1: "W"})
    many = Configuration.from_changes(HOST, dict.fromkeys(range(6), "W"))
    found = surrogate.predict([few, many])
    assert found.ood.tolist() == [False, True]
    assert surrogate.predict([]).mean.shape == (0, 2)


def test_every_property_has_to_know_the_numbers_of_defects(tmp_path: Path) -> None:
    known = [c for c in sample(120, 10) if c.n_defects > 1]
    gaps = np.array([gap(c) for c in known])
    values = {"homo": gaps, "lumo": np.where([c.n_defects > 3 for c in known], np.nan, gaps)}
    fit_surrogate(known, values, HOST, tmp_path / "m", model="trees", iterations=5, threads=1)
    asked = [Configuration.from_changes(HOST, dict.fromkeys(range(n), "W")) for n in (1, 2, 4)]
    assert load_surrogate(tmp_path / "m").predict(asked).ood.tolist() == [True, False, True]


def test_other_hosts_and_defects_are_refused(fitted: Path) -> None:
    surrogate = load_surrogate(fitted)
    other = HOST.with_supercell((5, 5, 1))
    with pytest.raises(ModelError, match="MoS2-5x5x1"):
        surrogate.predict([Configuration.from_changes(other, {0: "W"})])
    with pytest.raises(ModelError, match="Nb_Mo"):
        surrogate.predict([Configuration.from_changes(HOST, {0: "Nb"})])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no property"),
        ({"homo": [np.nan] * 60}, "all 60 labels are missing"),
        ({"homo": [1.0, 2.0, 3.0] + [np.nan] * 57}, "needs at least 20"),
        ({"homo": [1.25] * 60}, "all 60 labels are 1.25"),
        ({"homo": [np.inf] + [1.0] * 59}, "label 0 is infinite"),
        ({"homo": [1.0] * 59}, "60 configurations"),
    ],
)
def test_bad_labels_are_refused(values: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        fit_surrogate(sample(60, 5), values, HOST, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_twenty_copies_of_one_configuration_are_one_label(tmp_path: Path) -> None:
    one = sample(1, 6)[0]
    copies = [one.transform(g) for g in HOST.symmetry[:30]]
    with pytest.raises(DatasetError, match="1 labelled configurations"):
        fit_surrogate(copies, {"homo": np.arange(30.0)}, HOST, tmp_path / "out")


def test_an_existing_folder_is_never_replaced(fitted: Path) -> None:
    known = sample(30, 7)
    with pytest.raises(ModelError, match="exists already"):
        fit_surrogate(known, {"homo": np.array([gap(c) for c in known])}, HOST, fitted)


def test_a_spent_budget_leaves_the_first_kind(tmp_path: Path) -> None:
    known = sample(40, 8)
    values = {"homo_lumo_gap": np.array([gap(c) for c in known])}
    settings = {"rules": RULES, "iterations": 20, "threads": 1}
    manifest = fit_surrogate(known, values, HOST, tmp_path / "a", budget_s=0, **settings)
    assert list(manifest["properties"]["homo_lumo_gap"]["mae_by_model"]) == ["trees"]
    manifest = fit_surrogate(known, values, HOST, tmp_path / "b", model="pairs", **settings)
    assert manifest["properties"]["homo_lumo_gap"]["model"] == "pairs"
    assert load_surrogate(tmp_path / "b").predict(known).mean.shape == (40, 1)


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("defects.surrogates.property_model.PropertyModel.save", full)
    known = sample(40, 9)
    values = {"homo_lumo_gap": np.array([gap(c) for c in known])}
    with pytest.raises(ModelError, match="No space left on device"):
        fit_surrogate(known, values, HOST, tmp_path / "out", iterations=10, threads=1)
    assert list(tmp_path.iterdir()) == []


def test_from_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no labels of band_gap"):
        train_from_dataset("xtb-mos2-4x4", ["band_gap"], tmp_path / "out")
    manifest = train_from_dataset(
        "xtb-mos2-4x4", ["homo_lumo_gap"], tmp_path / "out", model="trees", iterations=60
    )
    entry = manifest["properties"]["homo_lumo_gap"]
    assert entry["n_labels"] == 959
    assert entry["metrics"]["mae"] < 0.03
    assert 0.85 < entry["metrics"]["coverage_90"] < 0.95


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="forest"):
        fit_surrogate([], {"homo": []}, HOST, tmp_path / "out", model="forest")


def test_a_host_from_a_file_needs_no_file_later(tmp_path: Path) -> None:
    facts = get_host("MoS2", (3, 3, 1))
    moved = facts.unit_frac_coords + np.array([0.1, 0.2, 0.0])
    host = Host("mine", (3, 3, 1), facts.unit_lattice * 1.1, facts.unit_species, moved)
    rules = Rules(defects=("V_S", "W_Mo"), max_defects=3)
    rng = np.random.default_rng(0)
    known = [random_configuration(host, rules, rng) for _ in range(60)]
    values = {"homo": np.array([c.counts()["V_S"] + 0.1 * c.counts()["W_Mo"] for c in known])}
    fit_surrogate(known, values, host, tmp_path / "m", iterations=30, threads=1)
    surrogate = load_surrogate(tmp_path / "m")
    assert surrogate.host == host
    assert np.abs(surrogate.predict(known).mean[:, 0] - values["homo"]).max() < 0.2


class TestDamagedFolders:
    @pytest.fixture
    def copy(self, fitted: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(fitted, tmp_path / "copy"))

    def test_unfinished(self, copy: Path) -> None:
        (copy / "manifest.json").unlink()
        with pytest.raises(ModelError, match="no finished surrogate"):
            load_surrogate(copy)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="no surrogate folder"):
            load_surrogate(tmp_path / "nowhere")

    def test_file_altered(self, copy: Path) -> None:
        file = next(copy.rglob("spread.cbm"))
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))
        with pytest.raises(ModelError, match=r"spread\.cbm was altered"):
            load_surrogate(copy)

    def test_file_lost(self, copy: Path) -> None:
        next(copy.rglob("model.json")).unlink()
        with pytest.raises(ModelError, match=r"lacks .*model\.json"):
            load_surrogate(copy)

    def test_manifest_altered(self, copy: Path) -> None:
        manifest = json.loads((copy / "manifest.json").read_text())
        manifest["domain"]["max_defects"] = 99
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ModelError, match="altered"):
            load_surrogate(copy)

    def test_manifest_cut_off(self, copy: Path) -> None:
        text = (copy / "manifest.json").read_text()
        (copy / "manifest.json").write_text(text[: len(text) // 2])
        with pytest.raises(ModelError, match="not readable as a manifest"):
            load_surrogate(copy)


@pytest.mark.parametrize(("most", "triples"), [(3, False), (4, True)])
def test_three_body_terms_where_pairs_do_not_say_all(most: int, triples: bool) -> None:
    rng = np.random.default_rng(0)
    host = get_host("MoS2", "4x4")
    rules = Rules(defects=("V_S", "Se_S"), min_defects=most, max_defects=most)
    some = [random_configuration(host, rules, rng) for _ in range(3)]
    assert make_encoder(some, host, None).triples is triples
