"""Serve's applications come up late, or not: what is waited for, and what is told at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

import psutil
import pytest
from fake_status import statuses
from fake_surrogate import write as write_surrogate
from tiny_llama import make_base

import serve.waiting as waiting
from defects.errors import ModelError
from serve.config import ServeConfig
from serve.failures import UnavailableError


@pytest.fixture
def states(monkeypatch):
    """The states that an application has in turn; the last one stays."""

    def have(*found: str, message: str = "a replica died") -> None:
        monkeypatch.setattr(waiting, "_status", statuses(found, message))
        monkeypatch.setattr(waiting, "POLL_S", 0.001)

    return have


def test_one_whose_replica_died_is_waited_for(states):
    told: list[str] = []
    states("DEPLOYING", "UNHEALTHY", "UNHEALTHY", "RUNNING")
    waiting.wait_until_running(["design-loop-llm"], 5, told.append)
    assert told[0].startswith("loading the language model")


def test_one_that_cannot_start_is_told_with_its_reason(states):
    states("DEPLOYING", "DEPLOY_FAILED")
    with pytest.raises(
        ModelError, match="the language model did not start: a replica died"
    ) as told:
        waiting.wait_until_running(["design-loop-llm"], 5, lambda text: None)
    assert not isinstance(told.value, UnavailableError)  # nobody tries it for minutes


def test_one_that_was_killed_may_be_started_anew_but_not_where_there_is_no_memory(
    states, monkeypatch
):
    states("DEPLOYING", "DEPLOY_FAILED", message="Error:\nActorDiedError()")
    with pytest.raises(UnavailableError, match="language model did not start: its process was kil"):
        waiting.wait_until_running(["design-loop-llm"], 5, lambda text: None)

    counts = iter([3, 4])
    monkeypatch.setattr(waiting, "oom_kills", lambda: next(counts))
    states("DEPLOYING", "DEPLOY_FAILED", message="Error:\nActorDiedError()")
    with pytest.raises(ModelError, match=r"out of memory.*take a smaller model") as told:
        waiting.wait_until_running(["design-loop-llm"], 5, lambda text: None)
    assert not isinstance(told.value, UnavailableError)


def test_one_that_stays_away_is_named(states):
    states("UNHEALTHY")
    with pytest.raises(ModelError, match=r"the surrogate did not come up within 0\.05 s"):
        waiting.wait_until_running(["design-loop-surrogate"], 0.05, lambda text: None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_replica_killed_while_it_starts_is_started_again(tmp_path):
    from serve.app import deploy

    marker = tmp_path / "pid"

    # Inside, so that it travels to the replica as code: the tests' modules are not there.
    def load(folder):
        if not marker.exists():
            marker.write_text(str(os.getpid()))
            time.sleep(60)

        class Nothing:
            version, properties = "v1", ("homo",)

        return Nothing()

    killed: list[int] = []

    def kill() -> None:
        while not marker.exists() or not marker.read_text():
            time.sleep(0.05)
        killed.append(int(marker.read_text()))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    config = ServeConfig(surrogate=write_surrogate(tmp_path / "s1", "v1"))
    with deploy(config, load_surrogate=load) as handle:
        from ray import serve

        assert killed
        status = serve.get_app_handle(handle.apps.surrogate).status.remote().result(timeout_s=30)
    assert status["version"] == "v1"


@pytest.mark.slow
@pytest.mark.timeout(900)  # two starts of the engine
def test_an_engine_that_is_killed_whenever_it_starts_is_no_fault_of_its_model(tmp_path):
    from serve.app import deploy

    killed, stop = set(), threading.Event()

    def forked(process: psutil.Process) -> bool:
        return "serve.engine_imports" in " ".join(process.cmdline())

    def kill() -> None:
        while not stop.wait(0.1):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    # An engine has the command line of the fork server that it comes from.
                    if forked(process) and forked(process.parent()):
                        process.kill()
                        killed.add(process.pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    engine = {"kv_cache_gib": 0.25, "max_model_len": 256}
    config = ServeConfig(base_model=str(make_base(tmp_path / "base")), engine=engine)
    try:
        with pytest.raises(UnavailableError, match="language model did not start: its process was"):
            deploy(config)
    finally:
        stop.set()
        thread.join()
    assert len(killed) >= 2, "Serve had started it once more"
