"""Wait for Serve applications, and say in one line why one does not come up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from defects.errors import ModelError
from serve.checks import failure_reason
from serve.cluster import ray_log_dir
from serve.failures import UnavailableError, oom_kills, was_killed
from serve.names import title_of

Progress = Callable[[str], None]
POLL_S = 0.25
TELL_EVERY_S = 5.0


def wait_until_running(names: list[str], timeout_s: float, tell: Progress) -> None:
    """Wait until all applications run.

    Raises
    ------
    UnavailableError
        Processes of one were killed while it started.
    ModelError
        One failed to start, or not all were there in time.
    """
    start, kills_for_memory = time.monotonic(), oom_kills()
    waiting, told = list(names), 0.0
    while waiting:
        for name in list(waiting):
            fail_if_dead(name, kills_for_memory)
            if is_running(name):
                waiting.remove(name)
        if not waiting:
            return
        elapsed = time.monotonic() - start
        if elapsed > timeout_s:
            missing = " and ".join(title_of(name) for name in waiting)
            raise ModelError(
                f"{missing} did not come up within {timeout_s:g} s; logs: {ray_log_dir()}"
            )
        if elapsed >= told:
            tell(f"loading {title_of(waiting[0])} ({elapsed:.0f} s)")
            told = elapsed + TELL_EVERY_S
        time.sleep(POLL_S)


def wait_until_healthy(base_url: str, timeout_s: float, tell: Progress) -> None:
    """Wait until ``/healthz`` answers 200.

    Raises
    ------
    ModelError
        It does not in time, or the surrogate cannot be loaded.
    """
    import httpx

    tell("waiting for the first answer")
    deadline, last = time.monotonic() + timeout_s, "no answer"
    while time.monotonic() < deadline:
        try:
            reply = httpx.get(f"{base_url}/healthz", timeout=10.0, trust_env=False)
            if reply.status_code == 200:
                return
            last = reply.text[:300]
            if "not loaded" in last:
                break  # the surrogate's folder is bad; waiting does not mend it
        except httpx.HTTPError as error:
            last = str(error)
        time.sleep(POLL_S)
    raise ModelError(f"{base_url} is not healthy: {last}; logs: {ray_log_dir()}")


def _status(name: str) -> Any:
    from ray import serve as ray_serve

    return ray_serve.status().applications.get(name)


def is_running(name: str) -> bool:
    """Whether all replicas of the application are up."""
    status = _status(name)
    return status is not None and status.status == "RUNNING"


def fail_if_dead(name: str, kills_for_memory: int | None = None) -> None:
    """Raise with the reason if the application cannot come up.

    One that is unhealthy can: Serve replaces a replica that died.

    Parameters
    ----------
    name : str
    kills_for_memory : int, optional
        What `oom_kills` said when the wait for the application began.

    Raises
    ------
    UnavailableError
        Its processes were killed, more often than Serve starts them again.
    ModelError
        It cannot start: a fault of its own, or no memory.
    """
    status = _status(name)
    if status is not None and status.status == "DEPLOY_FAILED":
        texts = [d.message for d in status.deployments.values() if d.message] or [status.message]
        what, logs = f"{title_of(name)} did not start", ray_log_dir()
        if not was_killed(texts[0]):
            raise ModelError(f"{what}: {failure_reason(texts[0])}; logs: {logs}")
        if kills_for_memory is not None and oom_kills() > kills_for_memory:
            raise ModelError(
                f"{what}: the machine ran out of memory and killed its process; free some, or take "
                f"a smaller model or engine.kv_cache_gib; logs: {logs}"
            )
        raise UnavailableError(f"{what}: its process was killed; logs: {logs}")
