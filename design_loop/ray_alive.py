"""Whether the Ray that this process started still lives.

Its raylet or its control service can die (out of memory, kill -9) while this process goes on. Every
call then fails at once, through no fault of the call.
"""

from __future__ import annotations

import sys
import time

from defects.errors import DesignLoopError

#: Without these no task runs; Ray outlives its monitors and its dashboard.
_VITAL = ("raylet", "gcs_server")
#: A closed connection may be seen before the process counts as dead, s.
_LATE_S = 0.3


class RayDiedError(DesignLoopError):
    """The Ray that all tasks ran on is gone; a new one can go on."""


def dead_parts() -> list[str]:
    """Vital processes of a Ray started by this process that have died; of a joined one none."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return []
    from ray._private import worker

    node = worker._global_node
    if node is None:
        return []
    return [str(kind) for kind, _ in node.dead_processes() if kind in _VITAL]


def check_ray(cause: BaseException | None = None) -> None:
    """Raise if Ray is dead.

    Parameters
    ----------
    cause
        The failure that is to be explained.

    Raises
    ------
    RayDiedError
        It is.
    """
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized() or isinstance(cause, RayDiedError):
        return
    dead = dead_parts()
    if cause is not None and not dead:
        time.sleep(_LATE_S)
        dead = dead_parts()
    if not dead and not isinstance(cause, ray.exceptions.LocalRayletDiedError):
        return
    raise RayDiedError(
        f"Ray died: its {' and '.join(dead) or 'raylet on this machine'} ended unexpectedly; what "
        "is done is kept: `design-loop campaign resume`, or the same command again, goes on"
    ) from cause
