"""The engine's own process: imported early, and never left behind.

vLLM runs its engine core in a process of its own. Two things about it are ours:

- **Start-up.** On two cores `import vllm` takes about as long as everything else. vLLM starts the
  process after the replica has imported vLLM, and the new process imports it all again. Here a fork
  server imports it *while* the replica does, and the engine core is forked from that.
- **The end.** A replica that is killed with SIGKILL cannot stop its engine core, which would stay
  behind with its memory. A thread in the engine core ends it when its parent is gone.

Nothing here imports vLLM or torch, except in those processes (see `serve.engine_imports`).
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.context
import multiprocessing.forkserver
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

PRELOAD = ("serve.engine_imports",)
PARENT_POLL_S = 1.0


def begin_imports() -> None:
    """Start the fork server, so that it imports the engine beside us. Returns at once."""
    multiprocessing.set_forkserver_preload(list(PRELOAD))
    multiprocessing.forkserver.ensure_running()


class EngineContext:
    """Stands in for the multiprocessing context that vLLM starts its engine core with.

    Parameters
    ----------
    method : {"forkserver", "spawn"}
        "forkserver" on a CPU, after `begin_imports`; "spawn" where the process is to touch CUDA.
    """

    def __init__(self, method: str) -> None:
        self._context: Any = multiprocessing.get_context(method)
        self._on_cpu = method == "forkserver"

    def Process(
        self, *, target: Callable[..., Any], name: str, kwargs: Mapping[str, Any]
    ) -> multiprocessing.process.BaseProcess:
        """A process that runs `target(**kwargs)` with our environment and ends with us."""
        return self._context.Process(
            target=run_engine_core,
            name=name,
            args=(dict(os.environ), self._on_cpu, target, dict(kwargs)),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def run_engine_core(
    environ: Mapping[str, str],
    on_cpu: bool,
    target: Callable[..., Any],
    kwargs: Mapping[str, Any],
) -> None:
    """Body of the engine core's process."""
    # A fork server keeps the environment it was started with; vLLM has set more since.
    os.environ.update(environ)
    exit_with_parent()
    if on_cpu:
        from serve import cpu_lora, cpu_seeds, cpu_speculation

        cpu_lora.install()
        cpu_seeds.install()
        cpu_speculation.install()
    target(**kwargs)


def exit_with_parent(poll_s: float = PARENT_POLL_S) -> None:
    """End this process within `poll_s` seconds of its parent's end.

    Polling the parent's id is used rather than PR_SET_PDEATHSIG, which fires when the *thread*
    that started us ends.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(poll_s)
        os._exit(1)

    threading.Thread(target=watch, name="exit-with-parent", daemon=True).start()
