"""Language models with a regression head: equal numbers for equivalent placements."""

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
from defects.surrogates.transformer_model import (
    TransformerModel,
    crystal_text,
    images,
    tokens,
)

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from training.base_model import BaseModelSettings, build_model, save_base  # noqa: E402
from training.surrogate_task import FitOptions, FitTask  # noqa: E402
from training.surrogate_transformer import (  # noqa: E402
    TransformerSettings,
    finetune,
    fit_transformer,
    load_backbone,
)
from training.tokenizer import build_tokenizer  # noqa: E402

HOST = get_host("MoS2", (3, 3, 1))
DEFECTS = ("V_Mo", "V_S", "Se_S")
RULES = Rules(defects=DEFECTS, max_defects=3)
ENCODER = SparseEncoder(HOST, DEFECTS, 3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained base of another shape than the shipped one."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = build_tokenizer()
    shape = BaseModelSettings(hidden_size=64, intermediate_size=64, layers=1, head_dim=32)
    return save_base(build_model(tokenizer, shape), tokenizer, folder)


def sample(n: int, seed: int = 0) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    return [random_configuration(HOST, RULES, rng) for _ in range(n)]


def labels(configurations: list[Configuration]) -> np.ndarray:
    return np.array([c.counts()["V_Mo"] - 0.5 * c.counts()["V_S"] for c in configurations])


def task_of(known: list[Configuration], folds: int = 2) -> FitTask:
    return FitTask("homo", Encoded(known, ENCODER), labels(known), np.arange(len(known)) % folds)


@pytest.fixture(scope="module")
def fitted(base: Path) -> tuple[FitTask, object]:
    task = task_of(sample(80))
    params = {"base": str(base), "epochs": 25, "batch_size": 16, "images": 2, "bf16": False}
    return task, fit_transformer(task, FitOptions(2, 1, 0, 1, params=params))


def test_text_is_host_and_changed_sites() -> None:
    configuration = Configuration.from_changes(HOST, {0: "VAC", 10: "Se"})
    header, answer = crystal_text(configuration)
    assert header == "Host: MoS2, supercell 3x3x1\nAnswer:\n"
    assert answer == "Mo0 0 0 VAC\nS1 0 1 Se"


def test_images_are_equal_for_equivalent_configurations() -> None:
    rng = np.random.default_rng(1)
    for configuration in sample(20, 1):
        found = images(configuration, 4)
        image = configuration.transform(HOST.symmetry[int(rng.integers(len(HOST.symmetry)))])
        assert images(image, 4) == found
        assert found[0] == configuration.canonical()
        assert {c.key for c in found} == {configuration.key}
        first_cells = {tuple(HOST.cell_index[d.site]) for d in found[2].defects}
        assert (0, 0, 0) in first_cells
    assert len({c.defects for c in images(sample(1, 3)[0], 6)}) > 1


def test_tokens_mark_the_answer(base: Path) -> None:
    _, tokenizer = load_backbone(str(base))
    some = sample(6, 2)
    ids, answer = tokens(tokenizer, some)
    for row, configuration in enumerate(some):
        read = tokenizer.decode(ids[row][answer[row]].tolist())
        assert read == crystal_text(configuration)[1]


def test_fit_learns_counts(fitted: tuple) -> None:
    task, fit = fitted
    error = np.abs(task.held_out_mean(fit) - task.values).mean()
    assert error < 0.6 * np.abs(task.values - task.values.mean()).mean()


def test_equivalent_configurations_have_one_prediction(fitted: tuple) -> None:
    _, fit = fitted
    some = sample(10, 5)
    moved = [c.transform(HOST.symmetry[7]) for c in some]
    one, two = (fit.model.predict(Encoded(c, ENCODER)) for c in (some, moved))
    np.testing.assert_allclose(one, two, atol=1e-6)
    alone = [fit.model.predict(Encoded([c], ENCODER))[0] for c in some]
    np.testing.assert_allclose(one, alone, atol=1e-5)


def test_round_trip_is_exact(fitted: tuple, tmp_path: Path) -> None:
    _, fit = fitted
    fit.model.save(tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {
        *(f"member{i}.safetensors" for i in range(2)),
        *("config.json", "tokenizer.json", "transformer.json"),
    }
    again = TransformerModel.load(tmp_path, ENCODER)
    new = Encoded(sample(8, 6), ENCODER)
    np.testing.assert_array_equal(again.predict(new), fit.model.predict(new))
    assert again.predict(Encoded([], ENCODER)).shape == (0,)


def test_same_seed_same_model_and_the_base_stays(base: Path) -> None:
    model, tokenizer = load_backbone(str(base))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    known = sample(16)
    settings = TransformerSettings(epochs=2, batch_size=8)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one, two, other = (
        finetune(model, tokenizer, known, labels(known), settings, seed) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(2), expected)
    weights = [m.state_dict()["embed_tokens.weight"] for m, _ in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not torch.equal(weights[0], before["embed_tokens.weight"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "member1.safetensors").unlink(), "No such file"),
        (
            lambda f: (f / "member0.safetensors").write_bytes(
                (f / "member0.safetensors").read_bytes()[:-10]
            ),
            "transformer",
        ),
        (lambda f: (f / "tokenizer.json").write_text("{}"), r"tokenizer\.json is no tokenizer"),
        (
            lambda f: (f / "config.json").write_text(
                json.dumps({**json.loads((f / "config.json").read_text()), "hidden_size": 128})
            ),
            "size mismatch|Error",
        ),
        (lambda f: (f / "transformer.json").write_text('{"members": 0, "images": 1}'), "0 members"),
    ],
)
def test_damaged_files_are_refused(damage, message: str, fitted: tuple, tmp_path: Path) -> None:
    fitted[1].model.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelError, match=message):
        TransformerModel.load(tmp_path, ENCODER)


def test_a_base_that_is_not_there(tmp_path: Path) -> None:
    options = FitOptions(2, 1, 0, 1, params={"base": str(tmp_path / "nowhere")})
    with pytest.raises(ModelError, match="no base model at"):
        fit_transformer(task_of(sample(10)), options)
