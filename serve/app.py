"""Bring the served models up, swap the surrogate, and take everything down again."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defects.errors import ConfigError, ModelError
from serve.checks import check_base_model, check_surrogate, check_vllm
from serve.cluster import choose_port, ensure_ray, quiet, ray_log_dir
from serve.config import ServeConfig
from serve.deployments import api_app, llm_app, resolve_device, surrogate_app
from serve.names import API_APP, LLM_APP, SURROGATE_APP
from serve.waiting import Progress, fail_if_dead, is_running, wait_until_healthy, wait_until_running

if TYPE_CHECKING:
    from ray.serve import RunTarget

    from serve.extensions import Extension

logger = logging.getLogger(__name__)

LOGGING = {"log_level": "INFO", "enable_access_log": False}
"""Of Serve's files in the log folder; nothing of it reaches the console."""


@dataclass
class ServeHandle:
    """A running service.

    Attributes
    ----------
    config : ServeConfig
        What was asked for.
    base_url : str
        ``http://127.0.0.1:PORT``.
    device : str
        "cpu" or "gpu".
    """

    config: ServeConfig
    base_url: str
    device: str
    _owns_ray: bool = field(default=False, repr=False)
    _load: Callable[[str], Any] | None = field(default=None, repr=False)
    _closed: bool = field(default=False, repr=False)

    def swap_surrogate(self, folder: str | Path, timeout_s: float = 120.0) -> str:
        """Take another fitted surrogate into service; requests in flight are answered.

        Parameters
        ----------
        folder : str or Path
        timeout_s : float

        Returns
        -------
        str
            The version now served.

        Raises
        ------
        ModelError
            The folder is no finished surrogate or cannot be loaded; the old one stays in service.
        """
        from ray import serve as ray_serve
        from ray.serve import RunTarget

        path = check_surrogate(folder)
        with quiet():
            _submit(
                [
                    RunTarget(
                        surrogate_app(self.config, path, self._load), SURROGATE_APP, None, LOGGING
                    )
                ]
            )
        deadline = time.monotonic() + timeout_s
        handle = ray_serve.get_app_handle(SURROGATE_APP)
        while True:
            fail_if_dead(SURROGATE_APP)
            status = handle.status.remote().result(timeout_s=timeout_s)
            if status["folder"] == str(path):
                if status["error"]:
                    raise ModelError(f"surrogate {path} was not taken over: {status['error']}")
                if is_running(SURROGATE_APP):
                    return status["version"]
            if time.monotonic() > deadline:
                raise ModelError(f"surrogate {path} was not taken over within {timeout_s:g} s")
            time.sleep(0.05)

    def shutdown(self) -> None:
        """Stop serving; ends Ray as well if `deploy` started it. May be called twice."""
        if self._closed:
            return
        self._closed = True
        import ray
        from ray import serve as ray_serve

        if not ray.is_initialized():
            return
        with quiet():
            if self._owns_ray:
                # Everything of this Ray is ours: ending it ends Serve, in a second instead of six.
                ray.shutdown()
            else:
                for name in (API_APP, SURROGATE_APP, LLM_APP):
                    if name in ray_serve.status().applications:
                        ray_serve.delete(name)
                ray_serve.shutdown()

    def __enter__(self) -> ServeHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()


def deploy(
    config: ServeConfig,
    progress: Progress | None = None,
    *,
    load_surrogate: Callable[[str], Any] | None = None,
    extensions: Sequence[Extension] = (),
) -> ServeHandle:
    """Serve what `config` names and return when it answers.

    Call it from the main thread. Ray is started if none runs.

    Parameters
    ----------
    config : ServeConfig
    progress : callable, optional
        Told in a few words what is being waited for.
    load_surrogate : callable, optional
        Folder to surrogate, instead of `defects.surrogates.load_surrogate`.
    extensions : sequence of Extension
        Whose routes are served under the same address.

    Raises
    ------
    ConfigError
        There is nothing to serve.
    ModelError
        Base model or surrogate folder missing, vLLM not installed, port taken, or the engine did
        not come up; the message says which and where the logs are.
    """
    tell = progress or (lambda text: None)
    if config.base_model is None and config.surrogate is None and not extensions:
        raise ConfigError("nothing to serve: set base_model, surrogate or both")
    if config.base_model is not None:
        check_base_model(config)
        check_vllm()
    surrogate = check_surrogate(config.surrogate) if config.surrogate else None
    port = choose_port(config.host, config.port)
    device = resolve_device(config)

    tell("starting Ray")
    owns_ray = ensure_ray(config.ray_cpus, config.log_dir)
    from ray.exceptions import RayError
    from ray.serve import RunTarget

    handle = ServeHandle(
        config, f"http://{_bracketed(config.host)}:{port}", device, owns_ray, load_surrogate
    )
    try:
        with quiet():
            tell("starting Ray Serve")
            _start_serve(config, port)
            targets = [
                RunTarget(
                    surrogate_app(config, surrogate, load_surrogate), SURROGATE_APP, None, LOGGING
                ),
                RunTarget(api_app(config, extensions), API_APP, "/", LOGGING),
            ]
            if config.base_model is not None:
                # First, since it takes longest.
                targets.insert(0, RunTarget(llm_app(config, device), LLM_APP, None, LOGGING))
            _submit(targets)
        wait_until_running([target.name for target in targets], config.start_timeout_s, tell)
        if surrogate is not None:
            _check_loaded(surrogate, config.start_timeout_s)
        wait_until_healthy(handle.base_url, config.start_timeout_s, tell)
    except (RayError, TimeoutError) as error:
        logs = ray_log_dir()
        handle.shutdown()
        raise ModelError(f"Ray failed while starting: {error}; logs: {logs}") from error
    except BaseException:
        handle.shutdown()
        raise
    return handle


def run_forever(
    config: ServeConfig,
    progress: Progress | None = None,
    *,
    extensions: Sequence[Extension] = (),
) -> None:
    """Serve until SIGINT or SIGTERM, then shut down cleanly. Prints the address."""
    stop = threading.Event()
    with deploy(config, progress, extensions=extensions) as handle:
        # After `deploy`: starting Ray replaces the handlers.
        previous = {
            number: signal.signal(number, lambda *_: stop.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            print(f"serving on {handle.base_url} {_who(config)} (Ctrl-C stops)", flush=True)
            while not stop.wait(1.0):
                pass
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler or signal.SIG_DFL)


def _who(config: ServeConfig) -> str:
    """Who is let in, for the person who started the server."""
    if config.keys is None:
        return "to everybody on this machine and nobody else: no API keys are asked for"
    return f"to the holders of the keys in {config.keys}"


def _start_serve(config: ServeConfig, port: int) -> None:
    from ray import serve as ray_serve
    from ray.exceptions import RayError

    options = {
        "proxy_location": "HeadOnly",
        "http_options": {
            "host": config.host,
            "port": port,
            "request_timeout_s": config.limits.request_timeout_s,
        },
        "logging_config": LOGGING,
    }
    try:
        ray_serve.start(**options)
    except (RayError, TimeoutError) as error:
        # On a very busy machine the HTTP proxy is late; Serve's controller starts another.
        logger.warning("the HTTP proxy is late: %s", error)
        ray_serve.start(**options)


def _check_loaded(surrogate: Path, timeout_s: float) -> None:
    """Say why a surrogate is not in service; over HTTP nobody is told."""
    from ray import serve as ray_serve

    status = ray_serve.get_app_handle(SURROGATE_APP).status.remote().result(timeout_s=timeout_s)
    if status["error"]:
        raise ModelError(
            f"surrogate {surrogate} cannot be loaded: {status['error']}; logs: {ray_log_dir()}"
        )


def _submit(targets: list[RunTarget]) -> None:
    """Hand applications to Serve without waiting for them."""
    from ray import serve as ray_serve

    ray_serve.run_many(
        targets,
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
