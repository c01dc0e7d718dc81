"""Design requests with vLLM, an untrained model and API keys: one engine start for all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from fake_surrogate import write as write_surrogate

from defects.configuration import Configuration
from defects.errors import ParseError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import Request, build_prompt, longest_answer, parse_answer, random_frame
from design_loop.client import Client
from serve.config import ServeConfig
from serve.constraints import constraints_of
from serve.keys import KeyFile
from training.bundled import resolve_base

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), min_defects=2, max_defects=4)


def untrained(folder):
    """The shipped model's shape and tokenizer with random weights."""
    import torch
    from transformers import AutoConfig, LlamaForCausalLM

    shipped = Path(resolve_base("small"))
    torch.manual_seed(0)
    LlamaForCausalLM(AutoConfig.from_pretrained(shipped)).save_pretrained(folder)
    for file in shipped.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    root = tmp_path_factory.mktemp("design")
    keys = KeyFile(root / "keys.json")
    config = ServeConfig(
        base_model=str(untrained(root / "base")),
        surrogate=write_surrogate(root / "s1", "v1"),
        keys=keys.path,
        log_dir=root / "logs",
        # Guesses too, which the grammar and the model then verify.
        engine={"kv_cache_gib": 0.5, "speculative_tokens": 15},
    )
    (root / "config.json").write_text(config.model_dump_json())
    paths = [str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve_driver.py"), str(root / "config.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    try:
        url = json.loads(process.stdout.readline())["url"]
        text, _ = keys.create("test", ["read", "design"])
        with Client(url, api_key=text, timeout_s=600) as client:
            yield url, client
    finally:
        process.stdin.close()  # ends the service
        process.wait(60)


def test_nobody_is_let_in_without_a_key(service):
    url, _ = service
    replies = [
        httpx.post(url + path, json={}, trust_env=False, timeout=60)
        for path in ("/v1/design", "/v1/completions", "/v1/predict")
    ]
    assert [reply.status_code for reply in replies] == [401] * 3
    assert httpx.get(url + "/healthz", trust_env=False, timeout=60).status_code == 200


@pytest.mark.parametrize("fmt, prompts", [("compact", 32), ("full", 8)])
def test_an_untrained_model_is_valid_under_constraints_and_never_without(service, fmt, prompts):
    _, client = service
    rng = np.random.default_rng(0)
    requests = [Request(HOST, RULES, {}, random_frame(HOST, rng)) for _ in range(prompts)]

    def valid(chosen, constrained):
        answers = client.complete(
            [build_prompt(r, fmt) for r in chosen],
            "base",
            n=4,
            max_tokens=longest_answer(chosen[0], fmt) + 16,
            seed=5,
            constraints=constraints_of(chosen, fmt) if constrained else None,
        )
        found = 0
        for request, samples in zip(chosen, answers, strict=True):
            for sample in samples:
                try:
                    parse_answer(sample.text, request, fmt)
                    found += sample.finish_reason == "stop"
                except ParseError:
                    continue
        return found

    assert valid(requests, constrained=True) == 4 * prompts
    assert valid(requests[:2], constrained=False) == 0


def test_an_untrained_model_answers_with_nothing_but_what_is_named(service):
    _, client = service
    rng = np.random.default_rng(1)
    among = tuple(random_configuration(HOST, RULES, rng) for _ in range(500))
    request = Request(HOST, RULES, {}, among=among)
    answers = client.complete(
        [build_prompt(request, "compact")] * 16,
        "base",
        n=4,
        max_tokens=longest_answer(request, "compact") + 16,
        seed=5,
        constraints=constraints_of([request] * 16, "compact"),
    )
    said = [parse_answer(a.text, request, "compact") for of_prompt in answers for a in of_prompt]
    assert len(said) == 64
    assert set(said) <= set(among)
    assert len(set(said)) > 20


def test_design_and_predict(service):
    _, client = service
    answer = client.design(
        "MoS2", "4x4", RULES.defects, ["homo<=-3.5"], count=5, min_defects=2, max_defects=4,
        samples=64,
    )  # fmt: skip
    assert answer.samples == 64
    assert len(answer.candidates) == 5
    assert set(answer.drops) <= {"duplicate_in_request", "beyond_count"}
    assert answer.tokens > 64
    # The surrogate takes homo for minus the number of defects.
    best = Configuration.from_dict(answer.candidates[0]["configuration"], HOST)
    assert (best.n_defects, answer.candidates[0]["surrogate_error"]) == (4, 0.0)
    assert RULES.violation(best) is None
    [again] = client.predict([best]).mean
    assert again == answer.candidates[0]["prediction"]["mean"]


def test_metrics_know_what_was_asked(service):
    url, client = service
    text = client._http.get(url + "/metrics").text
    assert 'design_loop_design_samples_total{outcome="candidate"} 5.0' in text
