"""A toy task and a base model of a few thousand parameters, for tests of training."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from training.base_model import BaseModelSettings, build_model, save_base
from training.examples import Example
from training.tokenizer import build_tokenizer, words_in

TINY = BaseModelSettings(
    hidden_size=64, intermediate_size=128, layers=2, head_dim=32, max_positions=128
)


def digit_examples(count: int, seed: int) -> list[Example]:
    """The leading digit of a value decides about the answer; the second one is noise."""
    rng = random.Random(seed)
    examples = []
    for _ in range(count):
        digit, noise = rng.randrange(10), rng.randrange(10)
        prompt = f"homo_lumo_gap: {digit}.{noise} eV\nAnswer:\n"
        examples.append(Example(prompt, f"S1 {digit} {3 * digit % 10} VAC"))
    return examples


def endless_digits(seed: int):
    """A pretraining corpus of the same examples."""
    while True:
        for example in digit_examples(500, seed):
            yield example.prompt, example.answer
        seed += 1


def copied_digits(seed: int):
    """A pretraining corpus without the property: the digit of another quantity is copied."""
    rng = random.Random(seed)
    while True:
        digit, noise = rng.randrange(10), rng.randrange(10)
        yield f"mean_distance: {digit}.{noise} Å\nAnswer:\n", f"S1 {digit} {digit} VAC"


def tiny_tokenizer():
    """Tokenizer that knows the words of the toy task."""
    texts = [e.prompt + e.answer for e in digit_examples(50, 0)]
    texts += [p + a for p, a in itertools.islice(copied_digits(0), 50)]
    return build_tokenizer(sorted(words_in(texts)), max_length=128)


def write_tiny_base(path: Path, seed: int = 0) -> Path:
    """A random base model with its tokenizer."""
    tokenizer = tiny_tokenizer()
    return save_base(build_model(tokenizer, TINY, seed=seed), tokenizer, path, dtype="float32")
