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
from serve.cluster import choose_port, ensure_ray, may_join, quiet, ray_log_dir, started_here
from serve.config import LOOPBACK, ServeConfig
from serve.deployments import api_app, llm_app, resolve_device, surrogate_app
from serve.earlier import forget_earlier_serve
from serve.failures import UnavailableError
from serve.names import AppNames
from serve.waiting import Progress, fail_if_dead, is_running, wait_until_healthy, wait_until_running

if TYPE_CHECKING:
    from ray.serve import RunTarget
    from ray.serve.config import HTTPOptions

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
        ``http://127.0.0.1:PORT``, with the route of `apps`.
    device : str
        "cpu" or "gpu".
    apps : AppNames
        The Serve applications; nothing else of the cluster's Serve is touched.
    """

    config: ServeConfig
    base_url: str
    device: str
    apps: AppNames = field(default_factory=AppNames)
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
                        surrogate_app(self.config, path, self._load),
                        self.apps.surrogate,
                        None,
                        LOGGING,
                    )
                ]
            )
        deadline = time.monotonic() + timeout_s
        handle = ray_serve.get_app_handle(self.apps.surrogate)
        while True:
            fail_if_dead(self.apps.surrogate)
            status = _replica_status(handle, timeout_s)
            if status["folder"] == str(path):
                if status["error"]:
                    raise ModelError(f"surrogate {path} was not taken over: {status['error']}")
                if is_running(self.apps.surrogate):
                    return status["version"]
            if time.monotonic() > deadline:
                raise ModelError(f"surrogate {path} was not taken over within {timeout_s:g} s")
            time.sleep(0.05)

    def shutdown(self) -> None:
        """Stop serving; ends Ray as well if `deploy` started it. May be called twice.

        In a cluster that was joined only these applications end: its Serve may have others'.
        """
        if self._closed:
            return
        self._closed = True
        import ray
        from ray import serve as ray_serve

        if not ray.is_initialized():
            return
        with quiet():
            ours = started_here()
            if self._owns_ray and ours:
                # Everything of this Ray is ours: ending it ends Serve, in a second instead of six.
                forget_earlier_serve()
                ray.shutdown()
                return
            try:
                _delete(self.apps)
                if ours and not ray_serve.status().applications:
                    ray_serve.shutdown()
            finally:
                if self._owns_ray:
                    forget_earlier_serve()
                    ray.shutdown()

    def __enter__(self) -> ServeHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()


def deploy(
    config: ServeConfig,
    progress: Progress | None = None,
    *,
    owner: str | None = None,
    load_surrogate: Callable[[str], Any] | None = None,
    extensions: Sequence[Extension] = (),
) -> ServeHandle:
    """Serve what `config` names and return when it answers.

    Call it from the main thread. Ray is started if none runs. In a cluster whose Serve runs already
    that one is used, at its address; what the same owner left there (a driver that was killed) is
    taken down first.

    Parameters
    ----------
    config : ServeConfig
    progress : callable, optional
        Told in a few words what is being waited for.
    owner : str, optional
        Gives the applications names and a route of their own, see `serve.names.AppNames`; without
        it they are those of `design-loop serve`, at the root.
    load_surrogate : callable, optional
        Folder to surrogate, instead of `defects.surrogates.load_surrogate`.
    extensions : sequence of Extension
        Whose routes are served under the same address.

    Raises
    ------
    ConfigError
        There is nothing to serve.
    ModelError
        Base model or surrogate folder missing, vLLM not installed, port taken, the cluster's Serve
        listens elsewhere than asked for, or the engine did not come up; the message says which and
        where the logs are.
    UnavailableError
        A `ModelError` that may not come again: processes were killed while they started, or the
        machine was too busy for them.
    """
    tell = progress or (lambda text: None)
    apps = AppNames(owner)
    if config.base_model is None and config.surrogate is None and not extensions:
        raise ConfigError("nothing to serve: set base_model, surrogate or both")
    if config.base_model is not None:
        check_base_model(config)
        check_vllm()
    surrogate = check_surrogate(config.surrogate) if config.surrogate else None
    # A Serve that runs already has its port; where there can be none, a taken one is told at once.
    port = None if may_join() else choose_port(config.host, config.port)
    device = resolve_device(config)

    tell("starting Ray")
    owns_ray = ensure_ray(config.ray_cpus, config.log_dir)
    if owns_ray:
        forget_earlier_serve()
    from ray.exceptions import RayError
    from ray.serve import RunTarget

    handle = ServeHandle(config, "", device, apps, owns_ray, load_surrogate)
    try:
        with quiet():
            tell("starting Ray Serve")
            handle.base_url = _start_serve(config, port) + apps.route.rstrip("/")
            _delete(apps)
            targets = [
                RunTarget(
                    surrogate_app(config, surrogate, load_surrogate), apps.surrogate, None, LOGGING
                ),
                RunTarget(api_app(config, apps, extensions), apps.api, apps.route, LOGGING),
            ]
            if config.base_model is not None:
                # First, since it takes longest.
                targets.insert(0, RunTarget(llm_app(config, device), apps.llm, None, LOGGING))
            _submit(targets)
        wait_until_running([target.name for target in targets], config.start_timeout_s, tell)
        if surrogate is not None:
            _check_loaded(apps.surrogate, surrogate, config.start_timeout_s)
        wait_until_healthy(handle.base_url, config.start_timeout_s, tell)
    except (RayError, TimeoutError) as error:
        logs = ray_log_dir()
        handle.shutdown()
        raise UnavailableError(f"Ray failed while starting: {error}; logs: {logs}") from error
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


def _start_serve(config: ServeConfig, port: int | None) -> str:
    """Start the cluster's Serve, or use the one that runs; its address."""
    from ray import serve as ray_serve
    from ray.exceptions import RayError
    from ray.serve.context import _get_global_client

    running = _get_global_client(raise_if_no_controller_running=False)
    if running is not None:
        return _address_of(running.http_config, config)
    options = {
        "proxy_location": "HeadOnly",
        "http_options": {
            "host": config.host,
            "port": port or choose_port(config.host, config.port),
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
    # Not what was asked for: another driver may have been the first.
    return _address_of(_get_global_client().http_config, config)


def _address_of(http: HTTPOptions, config: ServeConfig) -> str:
    """Address of the cluster's Serve, if it is one that `config` may be served at."""
    if http.host not in LOOPBACK and config.keys is None:
        raise ModelError(
            f"this cluster's Ray Serve listens on {http.host}:{http.port}, for more than this "
            "machine, and no keys are asked for: end that Serve (`serve shutdown`), and it is "
            "started on loopback"
        )
    if config.port not in (0, http.port):
        raise ModelError(
            f"this cluster's Ray Serve listens on port {http.port} already, not {config.port}: "
            "ask for that one, or for 0"
        )
    return f"http://{_bracketed(http.host)}:{http.port}{http.root_path}"


def _delete(apps: AppNames) -> None:
    """Take down what runs under these names."""
    from ray import serve as ray_serve

    for name in apps.all:
        if name in ray_serve.status().applications:
            ray_serve.delete(name)


def _check_loaded(name: str, surrogate: Path, timeout_s: float) -> None:
    """Say why a surrogate is not in service; over HTTP nobody is told."""
    from ray import serve as ray_serve

    status = ray_serve.get_app_handle(name).status.remote().result(timeout_s=timeout_s)
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


def _replica_status(handle: Any, timeout_s: float) -> dict[str, Any]:
    """What the surrogate's replica says of itself; no folder where it has just died.

    Serve then starts another one, with the folder that was asked for last.
    """
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    try:
        return handle.status.remote().result(timeout_s=timeout_s)
    except (RayError, RayServeException, TimeoutError) as error:
        logger.warning("the surrogate's replica does not answer: %s", error)
        return {"folder": None}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
