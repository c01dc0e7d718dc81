"""A machine too busy for Ray's half minute: it is started again, a few times."""

from __future__ import annotations

import logging

import pytest

from defects.errors import ModelError
from serve import cluster

TOO_LATE = "The current node timed out during startup. This could happen because ..."
LOST = "System error: Ray has not been started yet. You can start Ray with 'ray.init()'."


@pytest.fixture
def starts(monkeypatch):
    """What the next calls of ``ray.init`` raise; those that came, and what was ended between."""
    import ray

    planned, seen = [], []

    def init(**options):
        seen.append(options["address"])
        error = planned.pop(0)
        if error is not None:
            raise error

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: seen.append("shutdown"))
    return planned, seen


@pytest.mark.parametrize("error", [TOO_LATE, LOST])
def test_a_late_ray_is_started_again(starts, caplog, error):
    planned, seen = starts
    planned += [Exception(error), None]
    with caplog.at_level(logging.WARNING):
        assert cluster.ensure_ray()
    assert seen == ["local", "shutdown", "local"]
    assert "starting it again" in caplog.text


def test_a_ray_that_never_comes_is_an_error_of_two_lines(starts):
    planned, seen = starts
    planned += [Exception(TOO_LATE)] * 3
    with pytest.raises(ModelError, match="did not start, 3 times"):
        cluster.ensure_ray()
    assert seen.count("local") == seen.count("shutdown") == 3


def test_another_error_is_not_tried_again(starts):
    planned, seen = starts
    planned += [ValueError("num_cpus must be an integer")]
    with pytest.raises(ValueError, match="integer"):
        cluster.ensure_ray()
    assert seen.count("local") == 1
