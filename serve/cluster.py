"""Start a private Ray for serving on this machine, quietly, or join the one that runs."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

from defects.errors import ModelError
from serve.config import ServeConfig

logger = logging.getLogger(__name__)

MIN_LOGICAL_CPUS = 8
"""A laptop has fewer cores than the engine, the replicas and the tasks of a round ask for."""


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpu_is_visible() -> bool:
    """Whether torch sees a GPU; torch (seconds) is only asked where there is a GPU's device file."""
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/kfd").exists():
        return False
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def ensure_ray(config: ServeConfig) -> bool:
    """Start Ray if none runs in this process or is named by RAY_ADDRESS.

    Call it from the main thread: Ray's processes end with the thread that started them.

    Returns
    -------
    bool
        Whether a Ray was started here, so that `ServeHandle.shutdown` ends it.
    """
    # Before the import: Ray reads both once.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return False
    with quiet():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
            return True
        ray.init(
            address="local",
            num_cpus=config.ray_cpus or max(MIN_LOGICAL_CPUS, available_cores()),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            _node_ip_address="127.0.0.1",
            # One idle Python worker per logical CPU would be started at once, on two real cores.
            _system_config={"enable_worker_prestart": False, "prestart_worker_first_driver": False},
        )
    if config.log_dir is not None:
        link_logs(config.log_dir)
    return True


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
