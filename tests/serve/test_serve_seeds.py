"""Seeds of the samples in a request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serve.seeds import SEED_RANGE, join_answers, split_by_prompt


def seeds(bodies):
    return [body["seed"] + i for body in bodies for i in range(body["n"])]


@given(st.integers(0, 1000), st.integers(2, 9), st.integers(1, 5), st.integers(1, 9))
def test_no_two_samples_share_a_seed_however_a_client_splits(seed, prompts, n, chunk):
    names = [f"p{k}" for k in range(prompts)]
    whole = split_by_prompt({"prompt": names, "n": n, "seed": seed})
    parts = [
        body
        for start in range(0, prompts, chunk)
        for body in split_by_prompt(
            {"prompt": names[start : start + chunk], "n": n, "seed": seed + start * n}
        )
    ]
    assert seeds(whole) == seeds(parts) == list(range(seed, seed + prompts * n))


def test_seeds_stay_in_range():
    bodies = split_by_prompt({"prompt": ["a", "b"], "n": 4, "seed": SEED_RANGE - 1})
    assert [b["seed"] for b in bodies] == [SEED_RANGE - 1, 3]


def test_unseeded_and_single_requests_stay_whole():
    for body in ({"prompt": ["a", "b"]}, {"prompt": "a", "seed": 1}, {"messages": [], "seed": 1}):
        assert split_by_prompt(body) == [body]


def test_joined_answers_number_their_choices_through():
    answers = [
        {
            "id": f"x{k}",
            "choices": [{"index": i, "text": f"{k}{i}"} for i in range(2)],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        }
        for k in range(3)
    ]
    joined = join_answers(answers, 2)
    assert [c["index"] for c in joined["choices"]] == [0, 1, 2, 3, 4, 5]
    assert [c["text"] for c in joined["choices"]] == ["00", "01", "10", "11", "20", "21"]
    assert joined["usage"]["total_tokens"] == 21


def test_constraints_go_with_their_prompts():
    one, other = {"host": "MoS2"}, {"host": "BN"}
    bodies = split_by_prompt({"prompt": ["a", "b"], "n": 2, "constraint": [one, other]})
    assert bodies == [
        {"prompt": "a", "n": 2, "constraint": one},
        {"prompt": "b", "n": 2, "constraint": other},
    ]
    seeded = split_by_prompt({"prompt": ["a", "b"], "n": 2, "seed": 5, "constraint": one})
    assert [(b["seed"], b["constraint"]) for b in seeded] == [(5, one), (7, one)]


def test_equal_constraints_stay_one_request():
    body = {"prompt": ["a", "b"], "constraint": [{"host": "MoS2"}] * 2}
    assert split_by_prompt(body) == [{"prompt": ["a", "b"], "constraint": {"host": "MoS2"}}]
