"""A step gives the same update however it is cut: micro-batches, checkpointing, workers, shards."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import pytest
import torch
from tiny_language_model import digit_examples, write_tiny_base

from defects.errors import ModelError
from training.epochs import epoch_batches
from training.examples import encode
from training.model import add_lora, base_of, use_bf16, weight_files
from training.objective import AnswerLoss
from training.parallel import Parallel, optimizer_state, set_optimizer_state, trained_weights
from training.sources import JsonlSource
from training.spec import AdapterSpec, LoraHyperparameters, Resources, check_settings
from training.steps import Steps

H = LoraHyperparameters(learning_rate=5e-3, dropout=0.0, batch_size=6, bf16=False, warmup=0.0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(write_tiny_base(tmp_path_factory.mktemp("tiny") / "base"))


def spec_of(base, **changes):
    return AdapterSpec(base, JsonlSource("unused"), "unused", hyperparameters=replace(H, **changes))


def run(spec, sharding="ddp", rank=0, world=1, *, n_steps=4, stop_at=None, bf16=False):
    """Weights of the update and losses after some steps, from scratch."""
    parallel = Parallel(sharding, CPU, rank, world)

    def build(weights=None):
        model, tokenizer = base_of(spec, CPU, bf16=bf16, empty=parallel.sharded)
        model = add_lora(model, spec, weights)
        files = weight_files(spec.base) if parallel.sharded else ()
        objective = parallel.place(AnswerLoss(model), files)
        pad = tokenizer.pad_token_id
        return model, tokenizer, Steps(objective, spec.hyperparameters, parallel, pad_id=pad,
                                       bf16=bf16)  # fmt: skip

    model, tokenizer, steps = build()
    encoded = encode(digit_examples(23, 0), tokenizer)
    batches = epoch_batches(encoded, spec.hyperparameters.batch_size, 0)
    losses = [steps.evaluate(encoded)]
    for i in range(n_steps):
        if i == stop_at:  # as a worker does that starts anew from a checkpoint
            from peft import get_peft_model_state_dict

            weights = get_peft_model_state_dict(model, state_dict=trained_weights(model))
            state = optimizer_state(steps.optimizer)
            model, _, steps = build(weights)
            set_optimizer_state(steps.optimizer, steps.parameters, state)
        losses.append(steps.train(batches[i % len(batches)], i / n_steps))
    losses.append(steps.evaluate(encoded))
    return trained_weights(model), losses


def difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def alone(base):
    return run(spec_of(base))


def test_steps_change_the_update_and_lower_the_loss(base, alone):
    weights, losses = alone
    assert losses[-1] < losses[0] - 0.1
    assert difference(weights, run(spec_of(base), n_steps=3)[0]) > 1e-3


@pytest.mark.parametrize(
    "change",
    [{"micro_tokens": 60}, {"gradient_checkpointing": True}],
    ids=["accumulated", "checkpointed"],
)
def test_memory_is_saved_without_changing_the_result(base, alone, change):
    weights, losses = run(spec_of(base, **change))
    assert difference(weights, alone[0]) < 2e-5
    assert losses == pytest.approx(alone[1], abs=1e-5)


def test_bfloat16_computes_what_float32_does_on_float32_weights(base, alone, monkeypatch):
    seen = set()
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(*args, **options):
        found = attend(*args, **options)
        seen.add(found.dtype)
        return found

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    spec = spec_of(base, bf16=True)
    weights, losses = run(spec, bf16=use_bf16(spec.hyperparameters, CPU))
    assert seen == {torch.bfloat16}
    # Small steps would vanish in bfloat16's eight bits: what is trained is float32.
    assert {w.dtype for w in weights.values()} == {torch.float32}
    assert losses == pytest.approx(alone[1], rel=5e-3)
    assert losses[-1] < losses[0] - 0.1
    assert difference(weights, alone[0]) > 1e-5


def test_going_on_from_a_checkpoint_is_as_going_on(base, alone):
    weights, losses = run(spec_of(base), stop_at=2)
    assert difference(weights, alone[0]) < 1e-6
    assert losses == pytest.approx(alone[1], abs=1e-6)


def test_the_update_is_drawn_from_the_seed_alone(base):
    def fresh(seed):
        torch.rand(seed + 3)
        model, _ = base_of(spec_of(base), CPU, bf16=False, empty=False)
        return trained_weights(add_lora(model, replace(spec_of(base), seed=seed)))

    assert difference(fresh(1), fresh(1)) == 0
    assert difference(fresh(1), fresh(2)) > 1e-2


def test_only_the_layers_named_get_an_update(base, tmp_path):
    spec = spec_of(base, target_modules=("q_proj", "v_proj"))
    model = add_lora(base_of(spec, CPU, bf16=False, empty=False)[0], spec)
    assert {name.split(".")[-4] for name in trained_weights(model)} == {"q_proj", "v_proj"}
    model.save_pretrained(tmp_path / "parent")

    def refused(spec):
        with pytest.raises(ModelError) as error:
            add_lora(base_of(spec, CPU, bf16=False, empty=False)[0], spec)
        return str(error.value)

    # The output is a linear layer, too, and no server takes an update of it.
    said = refused(spec_of(base, target_modules=("q_proj", "query", "lm_head")))
    assert "no linear layer query, lm_head; it has down_proj, " in said
    parent = replace(spec_of(base), parent=tmp_path / "parent")
    assert "updates q_proj, v_proj; down_proj, " in refused(parent)
    same = replace(spec, parent=tmp_path / "parent")
    assert difference(
        trained_weights(model),
        trained_weights(add_lora(base_of(same, CPU, bf16=False, empty=False)[0], same)),
    ) == 0  # fmt: skip


def test_weights_count_in_the_loss_and_not_in_the_evaluation(base):
    spec = spec_of(base)
    model, tokenizer = base_of(spec, CPU, bf16=False, empty=False)
    parallel = Parallel("ddp", CPU)
    objective = parallel.place(AnswerLoss(add_lora(model, spec)))
    steps = Steps(objective, H, parallel, pad_id=tokenizer.pad_token_id, bf16=False)
    encoded = encode(digit_examples(6, 0), tokenizer)
    first, second = (steps.evaluate([e]) for e in encoded[:2])
    heavy = [replace(encoded[0], weight=3.0), encoded[1]]
    assert steps.evaluate(heavy) == pytest.approx((first + second) / 2, rel=1e-4)
    assert steps.train(heavy, 0.0) == pytest.approx((3 * first + second) / 4, rel=1e-4)


def test_a_loss_that_is_not_finite_leaves_the_weights(base):
    spec = spec_of(base)
    model, tokenizer = base_of(spec, CPU, bf16=False, empty=False)
    model = add_lora(model, spec)
    steps = Steps(AnswerLoss(model), H, Parallel("ddp", CPU), pad_id=0, bf16=False)
    before = {k: v.clone() for k, v in trained_weights(model).items()}
    batch = [replace(e, weight=float("inf")) for e in encode(digit_examples(2, 0), tokenizer)]
    with pytest.raises(ModelError, match="lower learning rate"):
        steps.train(batch, 0.5)
    assert difference(before, trained_weights(model)) == 0


def test_four_bits_need_a_gpu(base):
    spec = spec_of(base, quantization="4bit")
    with pytest.raises(ModelError, match="needs a CUDA GPU"):
        check_settings(spec.hyperparameters, Resources())
    with pytest.raises(ModelError, match="held whole"):
        check_settings(spec.hyperparameters, Resources(gpus=1, sharding="fsdp"))
    with pytest.raises(ModelError, match="the workers are on cpu"):
        base_of(spec, CPU, bf16=False, empty=False)
    with pytest.raises(ModelError, match="none of none, 4bit"):
        replace(H, quantization="8bit")
    with pytest.raises(ModelError, match="none of ddp, fsdp"):
        Resources(sharding="zero")


def _worker(rank, port, spec, sharding, stop_at, out):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    weights, losses = run(spec, sharding, rank, 2, stop_at=stop_at)
    if rank == 0:
        torch.save((weights, losses), out)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_workers_give_the_update_of_one(base, alone, sharding, tmp_path):
    """Unequal shares and micro-batches, checkpointed activations, and a restart in between."""
    spec = spec_of(base, micro_tokens=60, gradient_checkpointing=True)
    out = tmp_path / "result.pt"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(_worker, (port, spec, sharding, 2, out), nprocs=2)
    weights, losses = torch.load(out, weights_only=True)
    assert difference(weights, alone[0]) < 1e-4
    assert losses == pytest.approx(alone[1], abs=1e-4)
