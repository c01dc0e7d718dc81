"""The small model: shape, saving, loading, and clear errors."""

from __future__ import annotations

import pytest
import torch
from tiny_language_model import TINY, tiny_tokenizer, write_tiny_base

from defects.errors import ModelError
from training.base_model import (
    MAX_PARAMETERS,
    BaseModelSettings,
    base_hash,
    build_model,
    check_base,
    load_base,
    save_base,
)
from training.sampling import generate


def test_the_default_shape_keeps_the_limits(tmp_path) -> None:
    tokenizer = tiny_tokenizer()
    model = build_model(tokenizer)
    assert 1_000_000 < model.num_parameters() <= MAX_PARAMETERS
    assert model.config.tie_word_embeddings
    assert model.config.max_position_embeddings == 2048
    save_base(model, tokenizer, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size <= 15_000_000


def test_too_large_or_unservable_shapes_are_refused() -> None:
    with pytest.raises(ModelError, match="parameters"):
        build_model(tiny_tokenizer(), BaseModelSettings(layers=12))
    with pytest.raises(ModelError, match="head_dim"):
        BaseModelSettings(head_dim=48)


def test_saved_and_loaded_it_answers_alike(tmp_path) -> None:
    tokenizer = tiny_tokenizer()
    model = build_model(tokenizer, TINY, seed=1)
    save_base(model, tokenizer, tmp_path, dtype="float32", card={"tokens": 5})
    loaded, _ = load_base(tmp_path)
    ids = torch.tensor([tokenizer("homo: 1.05 eV\n")["input_ids"]])
    torch.testing.assert_close(loaded(ids).logits, model.eval()(ids).logits)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlicense:") and "| tokens | 5 |" in card
    assert loaded.generation_config.top_p == 0.9


def test_half_precision_storage_leaves_the_model_in_memory_alone(tmp_path) -> None:
    tokenizer = tiny_tokenizer()
    model = build_model(tokenizer, TINY)
    save_base(model, tokenizer, tmp_path)
    assert model.dtype == torch.float32
    assert load_base(tmp_path, dtype="auto")[0].dtype == torch.float16
    assert load_base(tmp_path)[0].dtype == torch.float32


def test_the_seed_decides_about_the_weights() -> None:
    first, same, other = (build_model(tiny_tokenizer(), TINY, seed=s) for s in (1, 1, 2))
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(first.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_the_hash_follows_the_content(tmp_path) -> None:
    one, copy, other = (write_tiny_base(tmp_path / n, s) for n, s in (("a", 1), ("b", 1), ("c", 2)))
    assert base_hash(one) == base_hash(copy) != base_hash(other)
    (one / "README.md").write_text("another card")
    assert base_hash(one) == base_hash(copy)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/base", "nowhere", "a/b/c"])
def test_a_missing_folder_is_told(name: str) -> None:
    with pytest.raises(ModelError, match="base train"):
        check_base(name)


def test_an_empty_folder_and_an_unknown_name_are_told(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        load_base(tmp_path)
    with pytest.raises(ModelError, match="cannot load the base model 'no-owner/no-model'"):
        load_base("no-owner/no-model", offline=True)


def test_a_damaged_folder_is_told(tmp_path) -> None:
    base = write_tiny_base(tmp_path / "base")
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot load the base model"):
        load_base(base)


def test_sampling_does_not_depend_on_the_batch(tmp_path) -> None:
    tokenizer = tiny_tokenizer()
    model = build_model(tokenizer, TINY, seed=3)
    prompts = ["homo: 1\n", "homo_lumo_gap: 1.05 eV\nAnswer:\n", "W\n"]
    together = generate(model, tokenizer, prompts, temperature=0, max_new_tokens=8)
    alone = [generate(model, tokenizer, [p], temperature=0, max_new_tokens=8)[0] for p in prompts]
    assert together == alone
    first, second = (generate(model, tokenizer, prompts, seed=s, max_new_tokens=8) for s in (1, 2))
    assert first != second
    assert first == generate(model, tokenizer, prompts, seed=1, max_new_tokens=8)
