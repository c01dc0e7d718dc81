"""The real thing: vLLM in Ray Serve with random adapters, one engine start for all tests.

The service runs in a process of its own, so that the last test can kill it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from fake_surrogate import write as write_surrogate
from tiny_llama import make_adapter, make_base

from defects.errors import ModelError
from serve.client import ServeClient
from serve.config import ServeConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
GREEDY = {"temperature": 0.0, "max_tokens": 12}
PROMPT = "w1 w2 w3"
METRICS = {
    "num_requests_running",
    "num_requests_waiting",
    "kv_cache_usage_perc",
    "time_to_first_token_seconds_count",
    "generation_tokens_total",
}
VACANCY = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}


class Service:
    """The driver process, its address and its commands."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = make_base(root / "base")
        self.adapters = root / "adapters"
        self.adapters.mkdir()
        self.first, self.second = (
            f"base:{make_adapter(self.base, self.adapters, prefix, seed).name}"
            for seed, prefix in enumerate(("r001", "r002"), start=1)
        )
        self.models = ["base", self.first, self.second]
        config = ServeConfig(
            base_model=str(self.base),
            adapter_roots=(self.adapters,),
            surrogate=write_surrogate(root / "s1", "v1"),
            log_dir=root / "logs",
            engine={"kv_cache_gib": 0.25, "max_model_len": 256, "metrics": True},
        )
        file = root / "config.json"
        file.write_text(config.model_dump_json())
        paths = [str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")]
        self.errors = (root / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "serve_driver.py"), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self.url = self._answer()["url"]
        self.client = ServeClient(self.url, timeout_s=400.0)

    def swap(self, folder: Path) -> dict:
        return self.command(swap=str(folder))

    def command(self, **command) -> dict:
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"the service ended: {self.errors.read()[-3000:]}")
        return json.loads(line)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()  # ends the loop, and with it the service
            self.process.wait(60)
        self.errors.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("serve"))
    yield service
    service.close()


def post(service, path, body):
    return httpx.post(service.url + path, json=body, timeout=120, trust_env=False)


def text(service, model, prompt=PROMPT, **options):
    return service.client.complete([prompt], model, **{**GREEDY, **options})[0][0].text


def test_nothing_was_written_to_the_console(service):
    service.errors.flush()
    assert (service.root / "stderr.txt").read_text() == ""
    assert (service.root / "logs" / "ray" / "serve").is_dir()


def test_healthy_with_both_parts(service):
    health = service.client.health()
    assert health == {"status": "ok", "llm": "ok", "surrogate": "ok", "surrogate_version": "v1"}


def test_models_lists_adapters_with_their_manifests(service):
    cards = {card["id"]: card for card in service.client.models()}
    assert list(cards) == service.models
    assert cards[service.second]["manifest"]["seed"] == 2


def test_each_adapter_changes_the_greedy_answer(service):
    answers = [text(service, model) for model in service.models]
    assert len(set(answers)) == 3
    assert [text(service, model) for model in service.models] == answers


def test_requests_in_one_batch_keep_their_own_adapter(service):
    # vLLM's CPU kernels give requests without an adapter the last slot's when batches mix.
    models = service.models
    alone = {model: text(service, model, max_tokens=100) for model in models}
    with ThreadPoolExecutor(12) as pool:
        jobs = [(m, pool.submit(text, service, m, max_tokens=100)) for m in models * 4]
        assert all(job.result() == alone[model] for model, job in jobs)


def test_an_adapter_published_while_serving_answers_every_first_request(service):
    name = make_adapter(service.base, service.adapters, "r003", seed=3).name
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: text(service, f"base:{name}"), range(12)))
    assert len(set(answers)) == 1
    assert answers[0] not in {text(service, model) for model in service.models}


def test_a_loaded_name_is_not_loaded_again(service):
    before = text(service, service.first)
    first, second = (
        service.adapters / model.partition(":")[2] / "adapter_model.safetensors"
        for model in (service.first, service.second)
    )
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    try:
        assert text(service, service.first) == before
    finally:
        first.write_bytes(kept)


@pytest.mark.parametrize(
    "model, status",
    [("base:nope", 404), ("other", 404), ("base:../../etc", 422), ("base:R1", 422)],
)
def test_unknown_and_malformed_names(service, model, status):
    reply = post(service, "/v1/completions", {"model": model, "prompt": PROMPT})
    assert reply.status_code == status
    assert reply.json()["error"]["message"]
    assert "Traceback" not in reply.text


def test_an_adapter_the_engine_cannot_take_is_refused_and_the_rest_goes_on(service):
    name = make_adapter(service.base, service.adapters, "r004", seed=4, rank=64).name
    reply = post(service, "/v1/completions", {"model": f"base:{name}", "prompt": PROMPT})
    assert reply.status_code == 422
    assert "rank" in reply.json()["error"]["message"]
    assert text(service, "base")


def test_an_altered_adapter_and_one_of_another_base_are_refused(service):
    altered = make_adapter(service.base, service.adapters, "r005", seed=5)
    with (altered / "adapter_model.safetensors").open("ab") as stream:
        stream.write(b"\0")
    foreign = make_adapter(service.base, service.adapters, "r006", seed=6, base_hash="0" * 64)
    for folder, kind, said in (
        (altered, "model_damaged", "adapter_model.safetensors was altered"),
        (foreign, "wrong_base", "was trained on another base model"),
    ):
        reply = post(service, "/v1/completions", {"model": f"base:{folder.name}", "prompt": PROMPT})
        assert (reply.status_code, reply.json()["error"]["type"]) == (409, kind)
        assert said in reply.json()["error"]["message"]
        assert "/" not in reply.json()["error"]["message"]
        assert "Traceback" not in reply.text


def test_what_the_engine_refuses_is_a_clean_422(service):
    long = post(service, "/v1/completions", {"model": "base", "prompt": "w1 " * 300})
    chat = post(
        service,
        "/v1/chat/completions",
        {"model": "base", "messages": [{"role": "user", "content": "w1"}]},
    )
    for reply, part in ((long, "256"), (chat, "chat template")):
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (422, 422)
        assert part in error["message"]
        assert "Traceback" not in reply.text


def test_seeded_samples_repeat_and_differ_between_equal_prompts(service):
    options = {"n": 3, "temperature": 1.0, "max_tokens": 8, "seed": 11}
    first = service.client.complete([PROMPT] * 4, "base", **options)
    again = service.client.complete([PROMPT] * 4, "base", prompts_per_request=1, **options)
    assert first == again
    assert len({sample.text for samples in first for sample in samples}) == 12
    assert all(sample.tokens <= 8 for samples in first for sample in samples)


def test_seeded_prompts_that_are_read_in_parts_do_not_end_the_engine(service):
    # More prompt tokens than one step takes (2048): vLLM's rewinding of CPU generators fails.
    prompts = [" ".join(f"w{(i * 7 + j) % 90}" for j in range(200)) for i in range(24)]
    samples = service.client.complete(
        prompts, "base", n=2, max_tokens=4, seed=3, prompts_per_request=24
    )
    assert len(samples) == 24
    assert service.client.complete(prompts[:1], "base", n=2, max_tokens=4, seed=3) == samples[:1]


def test_streaming(service):
    body = {"model": service.first, "prompt": PROMPT, "max_tokens": 6, "temperature": 0}
    whole = post(service, "/v1/completions", body).json()["choices"][0]["text"]
    url = service.url + "/v1/completions"
    with httpx.stream("POST", url, json={**body, "stream": True}, timeout=60) as reply:
        events = [line[6:] for line in reply.iter_lines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert "".join(json.loads(e)["choices"][0]["text"] for e in events[:-1]) == whole


def test_predictions_come_with_spread_and_version(service):
    result = service.client.predict([VACANCY, {**VACANCY, "defects": []}])
    assert [row["homo"] for row in result.mean] == [-1.0, 0.0]
    assert [row["homo"] for row in result.std] == [0.25, 0.25]
    assert result.version == "v1"
    with pytest.raises(ModelError, match="unknown host"):
        service.client.predict([{**VACANCY, "host": "/etc/hosts"}])


def test_a_swap_under_load_drops_nothing(service):
    versions, failures, stop = [], [], threading.Event()

    def ask():
        with ServeClient(service.url, tries=1) as client:
            while not stop.is_set():
                try:
                    versions.append(client.predict([VACANCY]).version)
                except ModelError as error:
                    failures.append(str(error))

    replicas = {p.pid for p in service.family() if "surrogate" in "".join(p.cmdline())}
    assert replicas
    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        reply = service.swap(write_surrogate(service.root / "s2", "v2"))
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert reply == {"version": "v2"}
    assert failures == []
    assert {versions[0], versions[-1]} == {"v1", "v2"}
    # Swapped in place: the replica is the same process.
    assert replicas == {p.pid for p in service.family() if "surrogate" in "".join(p.cmdline())}


def test_a_surrogate_that_does_not_load_leaves_the_old_one(service):
    reply = service.swap(write_surrogate(service.root / "s3", "broken"))
    assert reply["error"].startswith("ModelError")
    assert "damaged" in reply["error"]
    assert service.client.predict([VACANCY]).version == "v2"
    assert "manifest.json" in service.swap(service.root)["error"]
    assert service.swap(service.root / "s2") == {"version": "v2"}
    assert service.client.health()["status"] == "ok"


def test_the_engines_metrics_are_in_rays_endpoint(service):
    (address,) = service.command(metrics=True)["addresses"]
    assert text(service, service.first)
    end = time.monotonic() + 240  # workers report every few seconds
    while True:
        shown = httpx.get(f"http://{address}/metrics", timeout=30, trust_env=False).text
        found = set(re.findall(r"^ray_vllm_(\w+?)\{", shown, re.MULTILINE))
        if found >= METRICS:
            break
        assert time.monotonic() < end, sorted(found)
        time.sleep(1)
    # Those of the server itself are elsewhere.
    assert "design_loop_requests" not in shown
    own = httpx.get(f"{service.url}/metrics", timeout=30, trust_env=False).text
    assert "design_loop_requests_total" in own and "vllm" not in own


def test_nothing_listens_beyond_loopback(service):
    listening = {
        connection.laddr
        for process in service.family()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_killed_with_sigkill_no_engine_stays_behind(service):
    family = service.family()
    assert sum(p.memory_info().rss for p in family) > 2**30
    service.process.send_signal(signal.SIGKILL)
    service.process.wait()
    # Ray's two agents watch their parent slowly (a minute); together they hold 0.2 GiB.
    engine = [p for p in family if not any("Agent" in part for part in _cmdline(p))]
    _, alive = psutil.wait_procs(engine, timeout=60)
    assert [_cmdline(p) for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def _cmdline(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
