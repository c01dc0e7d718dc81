"""A replica that was killed is told from one that cannot start."""

from __future__ import annotations

import pytest
from ray.exceptions import ActorDiedError

import serve.failures as failures
from serve.failures import oom_kills, was_killed

BEFORE = "The deployment failed to start 2 times in a row. See logs for details. Error:\n"
ENGINE = "RuntimeError: Engine core initialization failed. See root cause above. "
ALLOCATING = "Exception when allocating Replica(id='x'):\nTraceback\n  File x\n"


@pytest.mark.parametrize(
    ("text", "killed"),
    [
        (repr(ActorDiedError()), True),
        (f"{ALLOCATING}ray.exceptions.ActorDiedError: {ActorDiedError()}", True),
        (ENGINE + "Failed core proc(s): {'EngineCore': -9}", True),
        (ENGINE + "Failed core proc(s): {'EngineCore': 255}", True),  # with its fork server
        (ENGINE + "Failed core proc(s): {'EngineCore': 1}", False),
        # The others are ended since one has failed.
        (ENGINE + "Failed core proc(s): {'EngineCore_0': 1, 'EngineCore_1': -15}", False),
        (ENGINE + "Failed core proc(s): {}", False),
        ("OutOfMemoryError('Task was killed due to the node running low on memory')", False),
        (
            "ActorDiedError: The actor died because of an error raised in its creation task, x",
            False,
        ),
        ("ValueError: no such architecture", False),
        ("", False),
    ],
)
def test_a_kill_is_told_from_a_fault(text, killed):
    assert was_killed(BEFORE + text) is killed


def test_the_kernels_count_of_the_container_is_taken_before_that_of_the_machine(
    tmp_path, monkeypatch
):
    ours, machine, none = tmp_path / "events", tmp_path / "vmstat", tmp_path / "none"
    machine.write_text("pgfault 12\noom_kill 7\n")
    monkeypatch.setattr(failures, "_OOM_COUNTS", (ours, machine))
    assert oom_kills() == 7
    ours.write_text("oom 5\noom_kill 2\n")
    assert oom_kills() == 2
    monkeypatch.setattr(failures, "_OOM_COUNTS", (none,))
    assert oom_kills() == 0
