"""A swap of the surrogate while its replica dies: it waits for the next replica."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fake_status import statuses
from ray.exceptions import ActorDiedError

import serve.app as app
import serve.waiting as waiting
from defects.errors import ModelError
from serve.config import ServeConfig


class Replica:
    """A handle whose replica is dead for some calls."""

    def __init__(self, dead: int, folder: str) -> None:
        self.asked, self._dead, self._folder = 0, dead, folder
        self.status = SimpleNamespace(remote=lambda: self)

    def result(self, timeout_s: float) -> dict[str, Any]:
        self.asked += 1
        if self.asked <= self._dead:
            raise ActorDiedError
        return {"folder": self._folder, "error": None, "version": "v2"}


@pytest.fixture
def swapping(monkeypatch, tmp_path):
    """Swap to `tmp_path` by a replica, while the application has these states in turn."""

    def swap(replica: Replica, *states: str, timeout_s: float = 5.0) -> str:
        status = statuses(states, "a replica's health check failed")
        monkeypatch.setattr(waiting, "_status", status)
        monkeypatch.setattr(app, "check_surrogate", lambda folder: tmp_path)
        monkeypatch.setattr(app, "surrogate_app", lambda *_: None)
        monkeypatch.setattr(app, "_submit", lambda targets: None)
        monkeypatch.setattr("ray.serve.get_app_handle", lambda name: replica)
        monkeypatch.setattr("ray.serve.RunTarget", lambda *_: None)
        handle = app.ServeHandle(ServeConfig(surrogate=tmp_path), "http://127.0.0.1:1", "cpu")
        return handle.swap_surrogate(tmp_path, timeout_s)

    return swap


def test_a_replica_that_died_is_waited_for(swapping, tmp_path):
    replica = Replica(2, str(tmp_path))
    assert swapping(replica, "UNHEALTHY", "UNHEALTHY", "UNHEALTHY", "RUNNING") == "v2"
    assert replica.asked > 2


def test_one_that_never_comes_back_is_an_error(swapping, tmp_path):
    with pytest.raises(ModelError, match=r"not taken over within 0\.3 s"):
        swapping(Replica(99, str(tmp_path)), "UNHEALTHY", timeout_s=0.3)


def test_one_that_cannot_be_deployed_is_told_at_once(swapping, tmp_path):
    replica = Replica(0, str(tmp_path))
    with pytest.raises(ModelError, match="did not start"):
        swapping(replica, "DEPLOY_FAILED")
    assert replica.asked == 0
