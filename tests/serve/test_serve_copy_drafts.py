"""Guesses of answers that copy: the right line is found also after a replaced symbol."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import Request, build_answer, build_prompt, random_frame
from serve.copy_drafts import WINDOW, CopyProposer, next_tokens


def text_tokens(text: str) -> np.ndarray:
    """A token per character: lines are as alike as in any vocabulary."""
    return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)


def full_pair(seed: int) -> tuple[str, str]:
    rng = np.random.default_rng(seed)
    host = get_host("MoS2", (4, 4, 1))
    rules = Rules(defects=("V_S", "W_Mo", "Se_S"), max_defects=6)
    request = Request(host, rules, {}, random_frame(host, rng))
    configuration = random_configuration(host, rules, rng)
    return build_prompt(request, "full"), build_answer(configuration, request, "full")


def test_nothing_is_guessed_without_a_place_that_is_alike():
    rng = np.random.default_rng(0)
    assert next_tokens(rng.integers(0, 1000, 400), 8) == []
    assert next_tokens(np.arange(WINDOW), 8) == []


def test_a_copy_goes_on_after_a_replaced_token():
    line = np.arange(100, 160)
    answer = line[:40].copy()
    answer[-1] = 7  # replaced just now
    assert next_tokens(np.concatenate([line, [1, 2], answer]), 5) == line[40:45].tolist()


def test_most_of_a_full_answer_is_guessed_in_few_steps():
    guessed = steps = right = 0
    for seed in range(4):
        prompt, answer = full_pair(seed)
        known, rest = text_tokens(prompt), text_tokens(answer)
        done = 0
        while done < len(rest):
            draft = next_tokens(np.concatenate([known, rest[:done]]), 16)
            agreed = 0
            while (
                agreed < min(len(draft), len(rest) - done) and draft[agreed] == rest[done + agreed]
            ):
                agreed += 1
            guessed, right, steps = guessed + len(draft), right + agreed, steps + 1
            done += agreed + 1
    # A token per character: an equal x coordinate alone makes lines alike, and a model's
    # vocabulary, where the small one's guesses are right in 95 of 100, is kinder.
    assert right > 0.5 * guessed
    assert right > 5 * steps


def test_rows_without_a_sample_or_room_get_no_guess():
    config = SimpleNamespace(
        speculative_config=SimpleNamespace(num_speculative_tokens=4),
        model_config=SimpleNamespace(max_model_len=100),
    )
    row = np.tile(np.arange(25, dtype=np.int32), 4)
    rows = np.stack([row, row, row])
    found = CopyProposer(config).propose([[1], [], [1]], np.array([90, 90, 98]), rows)
    assert [len(f) for f in found] == [4, 0, 1]
    assert found[0] == [15, 16, 17, 18]
