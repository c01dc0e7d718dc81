"""Wait for Serve applications, and say in one line why one does not come up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from defects.errors import ModelError
from serve.checks import failure_reason
from serve.cluster import ray_log_dir
from serve.names import title_of

Progress = Callable[[str], None]
POLL_S = 0.25
TELL_EVERY_S = 5.0


def wait_until_running(names: list[str], timeout_s: float, tell: Progress) -> None:
    """Wait until all applications run.

    Raises
    ------
    ModelError
        One failed to start, or not all were there in time.
    """
    start = time.monotonic()
    waiting, told = list(names), 0.0
    while waiting:
        for name in list(waiting):
            fail_if_dead(name)
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


def fail_if_dead(name: str) -> None:
    """Raise `ModelError` with the reason if the application cannot come up.

    One that is unhealthy can: Serve replaces a replica that died.
    """
    status = _status(name)
    if status is not None and status.status == "DEPLOY_FAILED":
        texts = [d.message for d in status.deployments.values() if d.message] or [status.message]
        raise ModelError(
            f"{title_of(name)} did not start: {failure_reason(texts[0])}; logs: {ray_log_dir()}"
        )
