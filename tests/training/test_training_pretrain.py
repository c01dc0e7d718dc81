"""Pretraining: the loss falls, a cut-off run goes on, errors of a corpus are told."""

from __future__ import annotations

import json

import pytest
import torch

from defects.errors import ModelError
from training.base_model import build_model, load_base
from training.examples import Example, collate, encode
from training.objective import AnswerLoss
from training.pretrain import PretrainSettings, _batches, answer_loss, pretrain

from tiny_language_model import TINY, endless_digits, tiny_tokenizer  # isort: skip

FAST = {"minutes": 5, "batch_tokens": 1024, "model": TINY, "threads": 1, "log_seconds": 0.2}


def broken_corpus(seed: int):
    yield "homo: 1\n", "W"
    raise RuntimeError("the disk is gone")


def only_vacancies(seed: int):
    while True:
        yield "homo: 1\n", "VAC"


class Stepping:
    """Stands in for a run: a tenth of the budget is spent with every batch."""

    def __init__(self, settings: PretrainSettings, step: int = 0) -> None:
        self.settings, self.step = settings, step

    def progress(self) -> float:
        return self.step / 10


@pytest.mark.slow
@pytest.mark.parametrize(("begun", "first"), [(0, 4), (6, 0)])
def test_the_first_corpus_has_the_first_share_of_the_budget(begun, first) -> None:
    tokenizer = tiny_tokenizer()
    run = Stepping(PretrainSettings(**FAST), begun)
    vacancy = tokenizer.convert_tokens_to_ids("VAC")
    kinds = []
    for batch in _batches([(0.4, only_vacancies), (1.0, endless_digits)], run, tokenizer):
        kinds.append(bool((batch["input_ids"] == vacancy).any(axis=1).all()))
        run.step += 1
    assert kinds == [True] * first + [False] * (10 - begun - first)


@pytest.fixture(scope="module")
def batch():
    tokenizer = tiny_tokenizer()
    model = build_model(tokenizer, TINY, seed=1)
    examples = [Example("homo: 1\n", "S1 3 0 VAC", 1.0), Example("homo: 22.5 eV\n", "W", 3.0)]
    arrays = collate(encode(examples, tokenizer), tokenizer.pad_token_id)
    return model, {k: torch.from_numpy(v) for k, v in arrays.items()}


def reference(model, batch, row: int) -> torch.Tensor:
    """Token losses of one example from transformers' own logits."""
    logits = model(input_ids=batch["input_ids"][row : row + 1]).logits[0, :-1]
    return torch.nn.functional.cross_entropy(
        logits, batch["labels"][row, 1:], reduction="none", ignore_index=-100
    )


def test_the_loss_is_the_mean_over_answer_tokens(batch) -> None:
    model, arrays = batch
    loss = answer_loss(model, arrays["input_ids"], arrays["labels"])
    losses = torch.cat([reference(model, arrays, row) for row in range(2)])
    torch.testing.assert_close(loss, losses.sum() / (arrays["labels"] >= 0).sum())


def test_prompt_tokens_count_with_their_weight(batch) -> None:
    model, arrays = batch
    alone = answer_loss(model, arrays["input_ids"], arrays["labels"], 0.0)
    equal = answer_loss(model, arrays["input_ids"], arrays["labels"], 1.0)
    slight = answer_loss(model, arrays["input_ids"], arrays["labels"], 1e-6)
    torch.testing.assert_close(alone, slight, atol=1e-4, rtol=0)
    assert abs(float(equal - alone)) > 1e-3


def test_weights_scale_the_loss_of_their_example(batch) -> None:
    model, arrays = batch
    total = AnswerLoss(model)(arrays["input_ids"], arrays["labels"], arrays["weights"])
    expected = reference(model, arrays, 0).sum() + 3 * reference(model, arrays, 1).sum()
    torch.testing.assert_close(total, expected)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_it_learns_and_leaves_a_model(tmp_path, optimizer) -> None:
    seen = []
    settings = PretrainSettings(max_steps=60, optimizer=optimizer, **FAST)
    result = pretrain(
        endless_digits, tiny_tokenizer(), tmp_path, settings,
        evaluate=lambda model, tokenizer: {"answered": 1.0}, on_progress=seen.append,
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "train_log.jsonl").open()]
    assert lines == seen and lines[-1] == result
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.5 * losses[0]
    assert result["step"] == 60 and result["answered"] == 1.0
    assert not (tmp_path / "checkpoint.pt").exists()
    assert load_base(tmp_path)[0].num_parameters() > 10_000


@pytest.mark.slow
def test_a_cut_off_run_goes_on(tmp_path, monkeypatch) -> None:
    def killed(line):
        if line["step"] >= 15:
            raise KeyboardInterrupt

    often = FAST | {"log_seconds": 0.0, "checkpoint_minutes": 0.0}
    settings = PretrainSettings(max_steps=40, **often)
    tokenizer = tiny_tokenizer()
    with pytest.raises(KeyboardInterrupt):
        pretrain(endless_digits, tokenizer, tmp_path, settings, on_progress=killed)
    assert (tmp_path / "checkpoint.pt").is_file()
    pretrain(endless_digits, tokenizer, tmp_path, settings)
    steps = [json.loads(line)["step"] for line in (tmp_path / "train_log.jsonl").open()]
    # Step 15 was logged, not saved: it is done again, and nothing before it.
    assert steps == [*range(1, 16), *range(15, 41), 40]
    with pytest.raises(ModelError, match="another model shape"):
        (tmp_path / "checkpoint.pt").write_bytes(b"")
        torch.save({"settings": {}}, tmp_path / "checkpoint.pt")
        pretrain(endless_digits, tokenizer, tmp_path, settings)


@pytest.mark.slow
def test_a_failing_corpus_is_told(tmp_path) -> None:
    with pytest.raises(ModelError, match="the disk is gone"):
        pretrain(broken_corpus, tiny_tokenizer(), tmp_path, PretrainSettings(**FAST))
