"""Encoding, masking, batching."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_language_model import digit_examples, endless_digits, tiny_tokenizer

from training.epochs import answer_weight, epoch_batches, micro_batches, worker_share
from training.examples import (
    IGNORE,
    Encoded,
    Example,
    collate,
    encode,
    length_batches,
    stream_batches,
)

TOKENIZER = tiny_tokenizer()


def fake(length: int, n_prompt: int = 1, weight: float = 1.0) -> Encoded:
    return Encoded(np.arange(length), n_prompt, weight)


def test_loss_only_on_the_answer_and_its_end() -> None:
    examples = [Example("homo: 1\n", "S1 3 0 VAC"), Example("homo_lumo_gap: 1.05 eV\n", "W")]
    batch = collate(encode(examples, TOKENIZER), TOKENIZER.pad_token_id)
    for row, e in enumerate(examples):
        labels = batch["labels"][row]
        answer = labels[labels != IGNORE]
        assert TOKENIZER.decode(answer[:-1]) == e.answer
        assert answer[-1] == TOKENIZER.eos_token_id
        start = int(np.argmax(labels != IGNORE))
        prompt = batch["input_ids"][row, :start]
        assert prompt[0] == TOKENIZER.bos_token_id
        assert TOKENIZER.decode(prompt[1:]) == e.prompt
        np.testing.assert_array_equal(batch["input_ids"][row, start : start + len(answer)], answer)


def test_the_prompt_is_encoded_as_at_sampling() -> None:
    e = Example("homo: 1\nAnswer:\n", " S1")  # a leading space must not join the prompt
    encoded = encode([e], TOKENIZER)[0]
    assert encoded.ids[: encoded.n_prompt].tolist() == TOKENIZER(e.prompt)["input_ids"]


def test_too_long_examples_are_left_out() -> None:
    examples = [Example("homo: 1\n", "W"), Example("homo: 1\n", "W\n" * 50)]
    assert len(encode(examples, TOKENIZER, max_length=30)) == 1


def test_length_batches_keep_every_example_and_the_limit() -> None:
    rng = np.random.default_rng(0)
    encoded = [fake(int(n)) for n in rng.integers(2, 90, 500)]
    batches = length_batches(encoded, 400, rng)
    assert sorted(len(e) for b in batches for e in b) == sorted(len(e) for e in encoded)
    for batch in batches:
        assert len(batch) * max(map(len, batch)) <= 400
    padded = sum(len(b) * max(map(len, b)) for b in batches)
    assert padded < 1.05 * sum(map(len, encoded))


def test_a_stream_is_repeatable() -> None:
    def first(seed):
        stream = stream_batches(
            endless_digits(seed), TOKENIZER, max_tokens=512, max_length=64, pool=100, seed=seed
        )
        return next(stream)["input_ids"]

    np.testing.assert_array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_epoch_batches_are_a_partition_that_the_seed_decides() -> None:
    encoded = [fake(2 + i % 37) for i in range(101)]
    plan = epoch_batches(encoded, 8, seed=5)
    assert sorted(id(e) for b in plan for e in b) == sorted(id(e) for e in encoded)
    assert max(map(len, plan)) == 8 and len(plan) == 13
    same, other = epoch_batches(encoded, 8, seed=5), epoch_batches(encoded, 8, seed=6)
    assert [[id(e) for e in b] for b in plan] == [[id(e) for e in b] for b in same]
    assert [[id(e) for e in b] for b in plan] != [[id(e) for e in b] for b in other]


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_workers_share_a_batch_without_loss(size: int) -> None:
    batch = [fake(5 + i, weight=1 + i) for i in range(size)]
    shares = [worker_share(batch, rank, 3) for rank in range(3)]
    assert all(shares)
    total = sum(answer_weight(share) for share in shares)
    assert total == pytest.approx(answer_weight(batch))


def test_micro_batches_fit_and_lose_nothing() -> None:
    batch = [fake(n) for n in (30, 5, 12, 90, 7, 7)]
    parts = micro_batches(batch, 60)
    assert sorted(len(e) for part in parts for e in part) == [5, 7, 7, 12, 30, 90]
    assert all(len(p) == 1 or len(p) * max(map(len, p)) <= 60 for p in parts)


def test_toy_examples_are_seeded() -> None:
    assert digit_examples(5, 1) == digit_examples(5, 1) != digit_examples(5, 2)
