"""Plans of fine-tuning for the shipped campaigns."""

from __future__ import annotations

import pytest

from defects.errors import ConfigError, ModelError
from design_loop.adapter_plan import _counter, _shape, parse_memory, plan_adapter
from design_loop.config.loading import load_preset


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.slow
def test_the_70b_preset_fits_eight_gpus_and_not_one():
    config = load_preset("llama-3-70b", check=False)
    plan = plan_adapter(config, 8, 80e9)
    # The published sizes: 70.6 billion, and rank 8 on all seven projections of 80 layers.
    assert plan.memory.parameters == 70_553_706_496
    assert plan.memory.trainable == 8 * 80 * (2 * 8192 + 2 * (8192 + 1024) + 2 * 8192
                                              + 3 * (8192 + 28_672))  # fmt: skip
    assert plan.fits and plan.rows * plan.passes * 8 >= 16
    assert 5000 < plan.tokens < 8192
    alone = plan_adapter(config, 1, 80e9)
    assert not alone.fits and "141" not in (alone.advice or "")
    assert "4bit" in alone.advice
    assert "1 GPUs" in alone.problem


def test_requests_that_training_leaves_out_are_not_planned_for():
    config = load_preset("quickstart", check=False)

    def plan(max_length):
        adapter = config.adapter.model_copy(update={"max_length": max_length})
        return plan_adapter(config.model_copy(update={"adapter": adapter}), 1, 80e9)

    whole = plan(None)
    shorter = plan(whole.tokens - 1)
    assert shorter.fits and shorter.tokens < whole.tokens
    assert plan(10**6).tokens == whole.tokens
    none = plan(5)
    assert f"requests of {whole.tokens} tokens are longer than adapter.max_length" in none.problem
    assert none.advice == f"adapter.max_length: {whole.tokens}"


def test_a_shape_that_is_written_down_is_not_asked_of_the_network(monkeypatch):
    import transformers

    asked = []

    def absent(source, *, local_files_only):
        asked.append((source, local_files_only))
        raise OSError("not downloaded")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", absent)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", absent)
    name = "meta-llama/Meta-Llama-3-70B"
    shape, told = _shape(name)
    assert shape.num_hidden_layers == 80 and "not at hand" in told
    count, _ = _counter(name)
    assert count("Mo0 0 0 VAC") == 7
    with pytest.raises(ModelError, match="no configuration"):
        _shape("somebody/else")
    assert asked == [(name, True), (name, True), ("somebody/else", False)]


def test_sizes_of_memory():
    assert parse_memory("80GB") == 80e9
    assert parse_memory("79.5 GiB") == 79.5 * 2**30
    for wrong in ("80", "0GB", "many", "80TB"):
        with pytest.raises(ConfigError, match="write 80GB"):
            parse_memory(wrong)
