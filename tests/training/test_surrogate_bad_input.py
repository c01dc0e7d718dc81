"""Whatever the kind: labels and folders that are no good get a clear error, and nothing is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.errors import DatasetError, ModelError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates import load_surrogate
from training.surrogate import fit_surrogate
from training.surrogate_kinds import FITTERS, missing

HOST = get_host("MoS2", (3, 3, 1))
RULES = Rules(defects=("V_S", "Se_S", "W_Mo"), max_defects=3)
#: What keeps a fit short; the kinds that are not named are quick anyway.
QUICK = {
    "embedding": {"pretraining_steps": 2, "width": 8},
    "graph": {"steps": 10, "seeds": 1},
    "transformer": {"epochs": 1, "batch_size": 24, "images": 1},
}
#: Fitted for real here. A kind that is not installed is left out, as it is for users.
KINDS = tuple(kind for kind in FITTERS if missing(kind) is None)
#: Fits and loads that import torch or compute descriptors take seconds.
SLOW = {"embedding", "transformer", "soap", "coulomb", "sine", "slices", "graph", "formula"}
FITTED = [pytest.param(k, marks=[pytest.mark.slow] * (k in SLOW)) for k in KINDS]


def sample(n: int, seed: int = 0) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    return [random_configuration(HOST, RULES, rng) for _ in range(n)]


KNOWN = sample(50)
LEVELS = np.array([2 - 0.6 * c.counts()["V_S"] + 0.05 * c.counts()["W_Mo"] for c in KNOWN])


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESIGN_LOOP_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def fit(kind: str, levels: np.ndarray, out: Path, configurations: list | None = None) -> None:
    fit_surrogate(
        KNOWN if configurations is None else configurations,
        {"homo": levels},
        HOST,
        out,
        model=kind,
        iterations=5,
        threads=1,
        # What the kind ``related`` builds on.
        related={"homo_lumo_gap": -levels},
        params={kind: QUICK[kind]} if kind in QUICK else None,
    )


@pytest.fixture(scope="module", params=FITTED)
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESIGN_LOOP_CACHE", str(base / "cache"))
        fit(request.param, LEVELS, base / request.param)
    return base / request.param


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def truncated(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("damage", [flipped, truncated, Path.unlink])
def test_every_damaged_file_is_noticed(damage, fitted: Path, tmp_path: Path) -> None:
    files = [p.relative_to(fitted) for p in fitted.rglob("*") if p.is_file()]
    assert len(files) >= 4
    for name in files:
        copy = Path(shutil.copytree(fitted, tmp_path / "copy"))
        damage(copy / name)
        with pytest.raises(ModelError) as caught:
            load_surrogate(copy)
        # One or two lines that name the file or the folder.
        assert str(copy) in str(caught.value)
        assert len(str(caught.value)) < 600
        shutil.rmtree(copy)


def test_a_model_that_was_exchanged_with_its_hashes_is_refused_or_read(
    fitted: Path, tmp_path: Path
) -> None:
    """Past the hashes, a kind's own reader must end in a clear error too, never in another one."""
    from defects.encodings.sparse import SparseEncoder
    from defects.surrogates.property_model import PropertyModel

    encoder = SparseEncoder(HOST, sorted({d for c in KNOWN for d in c.counts()}), 3)
    (folder,) = (p for p in fitted.iterdir() if p.is_dir())
    assert PropertyModel.load(folder, encoder).name == "homo"
    # A text is for people to read; no reader opens it.
    read = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".txt"]
    for damage in (truncated, Path.unlink):
        for name in [p.relative_to(folder) for p in read]:
            copy = Path(shutil.copytree(folder, tmp_path / "copy"))
            damage(copy / name)
            with pytest.raises(ModelError):
                PropertyModel.load(copy, encoder)
            shutil.rmtree(copy)


def test_predictions_are_for_the_host_and_defects_of_the_labels(fitted: Path) -> None:
    surrogate = load_surrogate(fitted)
    other = get_host("WSe2", (3, 3, 1))
    with pytest.raises(ModelError, match=r"on WSe2-3x3x1, the model on MoS2-3x3x1"):
        surrogate.predict([KNOWN[0], Configuration.from_changes(other, {0: "VAC"})])
    with pytest.raises(ModelError, match="V_Mo, which the model has never seen"):
        surrogate.predict([Configuration.from_changes(HOST, {0: "VAC"})])


def test_equivalent_placements_have_one_prediction(fitted: Path) -> None:
    surrogate = load_surrogate(fitted)
    rng = np.random.default_rng(2)
    some = sample(20, 3)
    moved = [c.transform(HOST.symmetry[int(rng.integers(len(HOST.symmetry)))]) for c in some]
    one, two = surrogate.predict(some), surrogate.predict(moved)
    np.testing.assert_allclose(one.mean, two.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(one.std, two.std, rtol=1e-6)
    assert np.isfinite(one.mean).all()
    assert (one.std > 0).all()


def test_more_defects_than_any_label_had_are_predicted_and_flagged(fitted: Path) -> None:
    many = Configuration.from_changes(HOST, dict.fromkeys(range(9, 14), "Se"))
    found = load_surrogate(fitted).predict([KNOWN[0], many])
    assert found.ood.tolist() == [False, True]
    assert np.isfinite(found.mean).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (np.full(50, np.nan), "all 50 labels are missing"),
        (np.where(np.arange(50) < 3, LEVELS, np.nan), "3 labelled configurations"),
        (np.where(np.arange(50) < 50, 1.25, np.nan), "all 50 labels are 1.25"),
        (np.where(np.arange(50) == 4, np.inf, LEVELS), "label 4 is infinite"),
    ],
    ids=["nan", "three", "constant", "infinite"],
)
def test_bad_labels(kind: str, levels: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        fit(kind, levels, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_labels_on_another_host(kind: str, tmp_path: Path) -> None:
    other = get_host("WSe2", (3, 3, 1))
    mixed = [*KNOWN[:-1], Configuration.from_changes(other, {0: "VAC"})]
    with pytest.raises(ModelError, match=r"configuration 49 is on WSe2-3x3x1"):
        fit(kind, LEVELS, tmp_path / "out", mixed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_hyperparameter_that_the_kind_lacks(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no colour"):
        fit_surrogate(
            KNOWN, {"homo": LEVELS}, HOST, tmp_path / "out", model=kind, threads=1, iterations=5,
            params={kind: {"colour": 1}}, related={"homo_lumo_gap": -LEVELS},
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_some_labels_missing_is_no_error(tmp_path: Path) -> None:
    levels = np.where(np.arange(50) % 5 == 0, np.nan, LEVELS)
    fit("trees", levels, tmp_path / "out")
    found = load_surrogate(tmp_path / "out")
    assert found.manifest["properties"]["homo"]["n_labels"] == 40
