"""Memory of fine-tuning, counted without weights, against what a real model of that shape takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_language_model import write_tiny_base

from training.memory import NF4_BYTES, Load, count_model, plan_memory
from training.model import add_lora, base_config, base_of
from training.objective import AnswerLoss
from training.sources import JsonlSource
from training.spec import AdapterSpec, LoraHyperparameters, Resources

H = LoraHyperparameters(bf16=False, dropout=0.05)
LOAD = Load(rows=3, tokens=40, answer_tokens=7)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = write_tiny_base(tmp_path_factory.mktemp("tiny") / "base")
    spec = AdapterSpec(str(folder), JsonlSource("unused"), "unused", hyperparameters=H)
    model, _ = base_of(spec, torch.device("cpu"), bf16=False, empty=False)
    return add_lora(model, spec), count_model(base_config(str(folder)), H, LOAD)


def test_parameters_are_those_of_the_loaded_model(tiny):
    model, counted = tiny
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counted.trainable == trainable
    assert counted.parameters == sum(p.numel() for p in model.parameters()) - trainable


def test_activations_are_what_a_real_forward_pass_saves(tiny):
    model, counted = tiny
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    ids = torch.zeros(LOAD.rows, LOAD.tokens, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    labels[:, -LOAD.answer_tokens :] = 1
    objective = AnswerLoss(model).train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        objective(ids, labels, torch.ones(LOAD.rows))
    real = sum(size for size, _ in saved.values())
    planned = plan_memory(counted, H, Resources(), LOAD).activations
    assert planned == pytest.approx(real, rel=0.05)


def test_each_setting_saves_what_it_is_for(tiny):
    _, counted = tiny
    one = plan_memory(counted, H, Resources(workers=4), LOAD)
    split = plan_memory(counted, H, Resources(workers=4, sharding="fsdp"), LOAD)
    assert split.weights == one.weights / 4 and split.update < one.update / 4 + 1
    assert split.gathered > 0 == one.gathered
    quarter = plan_memory(counted, replace(H, quantization="4bit"), Resources(), LOAD)
    rest = counted.parameters - counted.linear
    assert quarter.weights == NF4_BYTES * counted.linear + 4 * rest
    kept = plan_memory(counted, replace(H, gradient_checkpointing=True), Resources(), LOAD)
    assert kept.activations < one.activations
    assert one.fits(one.total) and not one.fits(one.total - 1)
