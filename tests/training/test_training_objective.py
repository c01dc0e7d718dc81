"""A common beginning computed once gives the same loss and the same gradient."""

from __future__ import annotations

import pytest
import torch
from tiny_language_model import write_tiny_base

from training.examples import Encoded, collate
from training.model import add_lora, base_of
from training.objective import AnswerLoss, common_prefix
from training.spec import AdapterSpec, LoraHyperparameters

CPU = torch.device("cpu")
H = LoraHyperparameters(dropout=0.0, bf16=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    base = str(write_tiny_base(tmp_path_factory.mktemp("tiny") / "base"))
    spec = AdapterSpec(base, None, "unused", hyperparameters=H)
    model = add_lora(base_of(spec, CPU, bf16=False, empty=False)[0], spec)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a fresh update is zero, and half of its gradient with it
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return model


def batch(shared, lengths=(9, 14, 11, 9)):
    """Rows that begin alike, go on differently and have answers of different lengths."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda n: torch.randint(10, 40, (n,), generator=generator).tolist()  # noqa: E731
    beginning = draw(shared)
    rows = [Encoded(torch.tensor([*beginning, i, *draw(n)]).numpy(), shared + 4 + i, 1.0 + i)
            for i, n in enumerate(lengths)]  # fmt: skip
    arrays = collate(rows, 0)
    return tuple(torch.from_numpy(arrays[name]) for name in ("input_ids", "labels", "weights"))


def gradient(model, tensors, *, share):
    model.zero_grad()
    loss = AnswerLoss(model, share_prefix=share)(*tensors)
    loss.backward()
    return loss.item(), {
        n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None
    }


def test_a_shared_beginning_changes_neither_loss_nor_gradient(model):
    tensors = batch(30)
    calls = []
    handle = (
        model.get_base_model()
        .get_decoder()
        .register_forward_pre_hook(
            lambda _module, _args, kwargs: calls.append(tuple(kwargs["input_ids"].shape)),
            with_kwargs=True,
        )
    )
    loss, whole = gradient(model, tensors, share=False)
    shared_loss, shared = gradient(model, tensors, share=True)
    handle.remove()
    assert calls == [(4, 45), (1, 30), (4, 15)]
    assert shared_loss == pytest.approx(loss, rel=1e-5)
    assert whole.keys() == shared.keys() and len(whole) > 10
    for name, expected in whole.items():
        assert expected.abs().max() > 0
        torch.testing.assert_close(shared[name], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shared", [0, 15])
def test_a_short_beginning_is_not_shared(shared):
    ids, labels, _ = batch(shared)
    assert common_prefix(ids, labels[:, 1:] >= 0) == 0


def test_answers_are_never_shared():
    ids, labels, _ = batch(30)
    same = ids[:1].expand(3, -1)
    answer = (labels[:1, 1:] >= 0).expand(3, -1)
    # The token before the answer gives its first logits.
    assert common_prefix(same, answer) == int(answer[0].long().argmax())
    assert common_prefix(same[:1], answer[:1]) == 0
