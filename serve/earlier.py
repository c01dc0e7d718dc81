"""Forget the Serve that ended with an earlier Ray of this process."""

from __future__ import annotations

import asyncio
import contextlib
import time

#: For an event loop that still answers to end what runs in it, s.
_PATIENCE_S = 2.0


def forget_earlier_serve() -> None:
    """Drop what Ray Serve keeps in this process beyond the life of a Ray.

    Its client: Serve tells one Ray from another by the number of the job, and every fresh Ray
    begins with the same one. And the event loop of its handles: it would go on telling figures to a
    controller that is gone, and where it waits for one, the first handle of the next Serve would
    wait for that loop without end.
    """
    from ray.serve._private.router import SingletonThreadRouter
    from ray.serve.context import _set_global_client

    _set_global_client(None)
    with SingletonThreadRouter._asyncio_loop_creation_lock:
        loop = SingletonThreadRouter._asyncio_loop
        SingletonThreadRouter._asyncio_loop = None
    if loop is not None and not loop.is_closed():
        _end(loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """End a loop that runs in a thread of its own; one that does not answer is left behind."""

    async def cancel_all() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    ending = asyncio.run_coroutine_threadsafe(cancel_all(), loop)
    with contextlib.suppress(TimeoutError):
        ending.result(_PATIENCE_S)
    loop.call_soon_threadsafe(loop.stop)
    until = time.monotonic() + _PATIENCE_S
    while loop.is_running() and time.monotonic() < until:
        time.sleep(0.01)
    if not loop.is_running():
        loop.close()
