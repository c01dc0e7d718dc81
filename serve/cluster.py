"""Start a private Ray for serving on this machine, quietly, or join the one that runs."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from defects.errors import ModelError

logger = logging.getLogger(__name__)

MIN_LOGICAL_CPUS = 8
"""A laptop has fewer cores than the engine, the replicas and the tasks of a round ask for."""
#: Times that Ray is started before it is given up.
_STARTS = 3
#: What Ray says of a start that came too late on a busy machine.
_TOO_BUSY = ("timed out during startup", "Ray has not been started yet")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpu_is_visible() -> bool:
    """Whether torch sees a GPU; torch (seconds) is only asked where a device file exists."""
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/kfd").exists():
        return False
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def ensure_ray(num_cpus: int | None = None, log_dir: Path | None = None) -> bool:
    """Start Ray on this machine, on loopback only, unless one runs in this process already.

    With RAY_ADDRESS set, that cluster is joined instead. Call it from the main thread: Ray's
    processes end with the thread that started them (they also end when this process is killed).

    Parameters
    ----------
    num_cpus : int, optional
        Logical CPUs; by default the larger of 8 and the cores.
    log_dir : Path, optional
        Folder that gets a link to Ray's logs.

    Returns
    -------
    bool
        Whether Ray was started or joined here, so that it is for the caller to end.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's 15 starves the engine as soon as anything else runs; 5 still lets Ray itself go first.
    os.environ.setdefault("RAY_worker_niceness", "5")
    # On a machine that is busy (the oracle's tasks, say) a process needs longer than Ray allows.
    os.environ.setdefault("RAY_worker_register_timeout_seconds", "180")
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    os.environ.setdefault("RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S", "60")
    # A call that comes late, of what Serve left in a thread, must not start another Ray: one that
    # listens on every interface, and that nobody ends.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    # The address other processes are told is then 127.0.0.1, and Ray's servers, which run what
    # they are sent, listen there only; by default they listen on every interface.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray
    from ray._private import auto_init_hook, ray_constants

    auto_init_hook.enable_auto_connect = False  # where Ray was imported before
    if ray.is_initialized():
        return False
    with quiet():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray_constants.ENABLE_RAY_CLUSTER = False  # where Ray was imported before
            _start_local(num_cpus or max(MIN_LOGICAL_CPUS, available_cores()))
    if log_dir is not None:
        link_logs(log_dir)
    return True


def may_join() -> bool:
    """Whether `ensure_ray` would use a Ray that runs already."""
    ray = sys.modules.get("ray")  # `ensure_ray` has to set its environment before the import
    return bool(os.environ.get("RAY_ADDRESS")) or (ray is not None and ray.is_initialized())


def started_here() -> bool:
    """Whether this process started the Ray that it uses; a joined one is others' as well."""
    import ray._private.worker as worker

    node = worker.global_worker.node
    return node is not None and node.head


def _start_local(num_cpus: int) -> None:
    """Start Ray here, and once more where the machine was too busy for it.

    Its raylet has to answer within 30 s, which nothing changes, and now and then a busy machine
    loses the connection that has just been made; a campaign of days should not end, nor fail to
    begin, because of half a minute of other work.
    """
    import ray

    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                # Else one idle Python worker per logical CPU starts at once, on two real cores.
                _system_config={
                    "enable_worker_prestart": False,
                    "prestart_worker_first_driver": False,
                },
            )
        except Exception as error:  # Ray raises nothing narrower
            ray.shutdown()
            if not any(text in str(error) for text in _TOO_BUSY):
                raise
            if attempt == _STARTS:
                raise ModelError(
                    f"Ray did not start, {_STARTS} times: the machine is too busy or "
                    "out of memory; try again when less runs on it"
                ) from error
            logger.warning("Ray did not start on this busy machine; starting it again")
        else:
            return


def ray_log_dir() -> Path:
    """Folder of the running Ray's logs on this node; Serve's and vLLM's are in it."""
    import ray._private.worker as worker

    node = worker.global_worker.node
    return Path(node.get_logs_dir_path()) if node is not None else Path()


def link_logs(folder: Path) -> None:
    """Put a link ``ray`` to the running Ray's logs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "ray"
    with contextlib.suppress(FileNotFoundError):
        if link.is_symlink():
            link.unlink()
    if not link.exists():
        link.symlink_to(ray_log_dir())


def choose_port(host: str, port: int) -> int:
    """`port` if it is free, or a free one for 0.

    Raises
    ------
    ModelError
        The port is taken or may not be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ModelError(
                f"cannot serve on {host}:{port}: {error.strerror}; choose another port "
                "(0 takes a free one)"
            ) from error
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Ray's and Serve's own messages off the console; they stay in the log folder."""
    for name in ("ray", "ray.serve", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
