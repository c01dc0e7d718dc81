"""A base in 4 bits: how it is loaded anywhere, and two steps over it on a GPU that has one."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from tiny_language_model import digit_examples, write_tiny_base

from defects.errors import ModelError
from training.bundled import small_base_path
from training.examples import encode
from training.model import add_lora, base_of
from training.objective import AnswerLoss
from training.parallel import Parallel, trained_weights
from training.sources import JsonlSource
from training.spec import AdapterSpec, LoraHyperparameters
from training.steps import Steps

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def spec_of(base, quantization):
    h = LoraHyperparameters(
        learning_rate=5e-3, dropout=0.0, warmup=0.0, schedule="constant", quantization=quantization
    )
    return AdapterSpec(str(base), JsonlSource("unused"), "unused", hyperparameters=h)


@pytest.fixture
def base(tmp_path):
    return write_tiny_base(tmp_path / "base")


@pytest.fixture
def with_bitsandbytes(monkeypatch):
    """As where it is installed; nothing of it is called before the weights are read."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))


@pytest.mark.parametrize("bf16, dtype", [(True, torch.bfloat16), (False, torch.float32)])
def test_a_4bit_base_is_asked_for_as_qlora_does(base, monkeypatch, with_bitsandbytes, bf16, dtype):
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    loaded, asked = object(), []

    def load(source, **options):
        asked.append((source, options))
        return loaded

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", load)
    model, tokenizer = base_of(spec_of(base, "4bit"), GPU, bf16=bf16, empty=False)
    assert model is loaded
    assert tokenizer.pad_token_id is not None
    [(source, options)] = asked
    assert source == str(base)
    settings = options.pop("quantization_config")
    assert isinstance(settings, BitsAndBytesConfig)
    assert settings.load_in_4bit and not settings.load_in_8bit
    assert settings.bnb_4bit_quant_type == "nf4"
    assert settings.bnb_4bit_use_double_quant is True
    # What 4 bits are made into for a product, and what is not quantized, is held in.
    assert settings.bnb_4bit_compute_dtype is options["dtype"] is dtype
    # All of it on this worker's GPU, which is not always the first one; no pickles.
    assert options["device_map"] == {"": GPU}
    assert options["use_safetensors"] is True


def test_what_bitsandbytes_says_is_told_in_one_line(base, monkeypatch, with_bitsandbytes):
    from transformers import AutoModelForCausalLM

    def fail(source, **options):
        raise RuntimeError("CUDA Setup failed\nfollow these steps ...")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(ModelError, match=r"^cannot load '.*base' in 4 bits: CUDA Setup failed$"):
        base_of(spec_of(base, "4bit"), GPU, bf16=True, empty=False)


def test_without_bitsandbytes_it_is_said_how_to_get_it(base, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match=r"needs bitsandbytes: pip install 'design-loop\[qlora\]'"):
        base_of(spec_of(base, "4bit"), GPU, bf16=True, empty=False)


def _lacking():
    """Why nothing can compute with 4 bits here; None where it can."""
    if not torch.cuda.is_available():
        return "no CUDA GPU"
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        return "no bitsandbytes: pip install 'design-loop[qlora]'"
    return None


def _frozen(model):
    return {n: p.detach().cpu().clone() for n, p in model.named_parameters() if not p.requires_grad}


LACKING = _lacking()


@pytest.mark.parametrize(
    "device, quantization",
    [
        (CPU, "none"),
        pytest.param(
            GPU, "4bit", marks=pytest.mark.skipif(LACKING is not None, reason=str(LACKING))
        ),
    ],
    ids=["whole", "4bit"],
)
def test_two_steps_over_the_small_base_change_the_update_alone(device, quantization):
    spec = spec_of(small_base_path(), quantization)
    bf16 = device.type == "cuda"
    model, tokenizer = base_of(spec, device, bf16=bf16, empty=False)
    quantized = [n for n, m in model.named_modules() if type(m).__name__ == "Linear4bit"]
    assert bool(quantized) == (quantization == "4bit")
    model = add_lora(model, spec)
    parallel = Parallel("ddp", device)
    objective = parallel.place(AnswerLoss(model))
    steps = Steps(
        objective, spec.hyperparameters, parallel, pad_id=tokenizer.pad_token_id, bf16=bf16
    )
    batch = encode(digit_examples(8, 0), tokenizer)
    fixed, before = _frozen(model), trained_weights(model)
    before = {name: weights.clone() for name, weights in before.items()}
    losses = [steps.evaluate(batch), *(steps.train(batch, 0.5) for _ in range(2))]
    losses.append(steps.evaluate(batch))
    after = trained_weights(model)

    assert losses[-1] < losses[0] - 0.1
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)  # nothing is learnt before the first
    assert {w.dtype for w in after.values()} == {torch.float32}
    assert all(not torch.equal(before[n], after[n]) for n in after if "lora_B" in n)
    assert all(torch.equal(weights, fixed[name]) for name, weights in _frozen(model).items())
