"""Oracle calls in flight as Ray tasks: bounded, timed, tried again."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from defects.configuration import Configuration
from defects.oracles import OracleSpec
from design_loop.oracle_worker import label_in_worker
from design_loop.ray_alive import check_ray

logger = logging.getLogger(__name__)

#: Seconds without a started call after which the log says what is missing.
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class PoolLimits:
    """How much a batch may take.

    Attributes
    ----------
    max_in_flight : int or None
        Calls at a time; by default as many as there are CPUs for.
    cpus_per_call, gpus_per_call : float
        Ray resources of one call; the oracle computes with as many threads as it has CPUs.
    memory_gib : float or None
        Memory that Ray keeps free for one call, GiB.
    custom_resources : mapping
        Resources that nodes of the cluster name themselves, and how much of them a call takes.
    environment : mapping
        Variables of the worker processes, set before any library is loaded.
    timeout_s : float
        Seconds from the start of a call after which it is killed and counts as failed.
    retries : int
        Further tries after a crash, a timeout or an error that another try may mend.
    stop : callable or None
        Asked between calls: once it is true none is started any more, those in flight are finished
        and the batch ends early.
    """

    max_in_flight: int | None = None
    cpus_per_call: float = 1.0
    gpus_per_call: float = 0.0
    memory_gib: float | None = None
    custom_resources: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 600.0
    retries: int = 1
    stop: Callable[[], bool] | None = None

    @property
    def stopped(self) -> bool:
        """Whether no further call is to be started."""
        return self.stop is not None and self.stop()


@dataclass(frozen=True)
class LabelResult:
    """What became of one configuration.

    Attributes
    ----------
    index : int
        Its place in the batch.
    configuration : Configuration
    labels : dict or None
        Properties, or None when all tries failed.
    details : dict
        What came out besides them, see `defects.oracles.Computed`.
    error, error_type, traceback : str
        Of the last try, empty when it succeeded. `error_type` is ``Timeout``, ``Crash``,
        ``OutOfMemory`` or the name of the exception.
    tries : int
    seconds : float
        Of the last try.
    permanent : bool
        No further try can mend the failure.
    """

    index: int
    configuration: Configuration
    labels: dict[str, float] | None
    error: str = ""
    error_type: str = ""
    traceback: str = ""
    tries: int = 1
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)
    permanent: bool = False

    @property
    def ok(self) -> bool:
        return self.labels is not None


def default_in_flight(cpus_per_call: float) -> int:
    """Calls at a time that the CPUs of the running Ray suffice for, at least 1.

    A Ray on one machine is told of more CPUs than there are (light deployments hold some); there
    the cores count.
    """
    import ray

    cpus = float(ray.cluster_resources().get("CPU", 1))
    if len([n for n in ray.nodes() if n["Alive"]]) == 1:
        cpus = min(cpus, len(os.sched_getaffinity(0)))
    return max(1, int(cpus // cpus_per_call))


def task_options(limits: PoolLimits) -> dict[str, Any]:
    """Ray's options of one call: what it takes, and the environment of its process."""
    options: dict[str, Any] = {
        "num_cpus": limits.cpus_per_call,
        "num_gpus": limits.gpus_per_call,
    }
    if limits.memory_gib is not None:
        options["memory"] = int(limits.memory_gib * 2**30)
    if limits.custom_resources:
        options["resources"] = dict(limits.custom_resources)
    if limits.environment:
        # Ray starts processes of their own for these; libraries read many only when loaded.
        options["runtime_env"] = {"env_vars": dict(limits.environment)}
    return options


def threads_per_call(limits: PoolLimits) -> int | None:
    """Threads that a call may use; None where the environment says so itself."""
    if "OMP_NUM_THREADS" in limits.environment:
        return None
    return max(1, int(limits.cpus_per_call))


def _asked(limits: PoolLimits) -> str:
    """What a call asks for, in words."""
    words = [f"{limits.cpus_per_call:g} CPUs", f"{limits.gpus_per_call:g} GPUs"]
    if limits.memory_gib is not None:
        words.append(f"{limits.memory_gib:g} GiB")
    return ", ".join([*words, *(f"{n:g} {name}" for name, n in limits.custom_resources.items())])


@dataclass(frozen=True)
class Task:
    """A configuration to label and the tries so far."""

    index: int
    configuration: Configuration
    tries: int = 0


@dataclass
class _Call:
    """A Ray task in flight; `started` is None as long as it waits for resources."""

    task: Task
    submitted: float
    started: float | None = None


class OraclePool:
    """The calls in flight of one batch."""

    def __init__(self, oracle: OracleSpec, limits: PoolLimits) -> None:
        import ray

        oracle.build()  # fails here rather than once per configuration
        self._ray = ray
        self._oracle = oracle
        self._limits = limits
        self._in_flight = limits.max_in_flight or default_in_flight(limits.cpus_per_call)
        self._remote = ray.remote(
            **task_options(limits),
            max_retries=0,  # tries are counted here
            num_returns="streaming",
        )(label_in_worker)
        self._hosts: dict[int, Any] = {}
        self._calls: dict[Any, _Call] = {}

    def run(self, tasks: deque[Task]) -> Iterator[LabelResult]:
        """Results of all tasks; failed ones go back to the end of the queue while tries remain.

        Raises
        ------
        RayDiedError
            Ray itself died: the tasks that are not done have not failed.
        """
        quiet_since = time.monotonic()
        try:
            while tasks or self._calls:
                check_ray()
                if self._limits.stopped:
                    tasks.clear()
                    if not self._calls:
                        return
                while tasks and len(self._calls) < self._in_flight:
                    self._submit(tasks.popleft())
                ready, _ = self._ray.wait(list(self._calls), timeout=self._next_deadline())
                finished = [r for r in map(self._advance, ready) if r is not None]
                for result in finished + self._kill_overdue():
                    if result.ok or result.permanent or result.tries > self._limits.retries:
                        yield result
                    else:
                        logger.info("try %d failed, again: %s", result.tries, result.error)
                        tasks.append(Task(result.index, result.configuration, result.tries))
                quiet_since = self._warn_when_stuck(bool(ready), quiet_since)
        finally:
            for reference in self._calls:
                self._ray.cancel(reference, force=True)
            self._calls.clear()

    def _submit(self, task: Task) -> None:
        host = task.configuration.host
        if id(host) not in self._hosts:
            # A fresh copy: without the symmetry group and other tables that can be derived.
            self._hosts[id(host)] = (host, self._ray.put(replace(host)))
        reference = self._remote.remote(
            self._oracle.to_dict(),
            self._hosts[id(host)][1],
            task.configuration.changes,
            threads_per_call(self._limits),
        )
        again = replace(task, tries=task.tries + 1)
        self._calls[reference] = _Call(again, time.monotonic())

    def _next_deadline(self) -> float:
        """Seconds until a call is overdue, at most a few."""
        now = time.monotonic()
        left = (
            call.started + self._limits.timeout_s - now
            for call in self._calls.values()
            if call.started is not None
        )
        return min(5.0, max(0.01, min(left, default=5.0)))

    def _advance(self, reference: Any) -> LabelResult | None:
        """Take the next message of a call; its result when that was the last."""
        call = self._calls[reference]
        try:
            message = self._ray.get(next(reference))
        except (self._ray.exceptions.RayError, StopIteration) as error:
            if not isinstance(error, self._ray.exceptions.RayTaskError):
                check_ray(error)  # else every call would use up its tries within a second
            return self._finish(reference, None, *_explain(error, self._ray))
        if message["state"] == "started":
            call.started = time.monotonic()
            return None
        if message["state"] == "done":
            return self._finish(reference, message["labels"], details=message["details"])
        return self._finish(
            reference,
            None,
            message["error"],
            message["error_type"],
            message["traceback"],
            permanent=message["permanent"],
        )

    def _finish(
        self,
        reference: Any,
        labels: dict[str, float] | None,
        error: str = "",
        error_type: str = "",
        trace: str = "",
        *,
        details: Mapping[str, Any] | None = None,
        permanent: bool = False,
    ) -> LabelResult:
        call = self._calls.pop(reference)
        seconds = time.monotonic() - (call.started or call.submitted)
        task = call.task
        return LabelResult(
            task.index,
            task.configuration,
            labels,
            error,
            error_type,
            trace,
            task.tries,
            seconds,
            details or {},
            permanent,
        )

    def _kill_overdue(self) -> list[LabelResult]:
        now = time.monotonic()
        overdue = [
            reference
            for reference, call in self._calls.items()
            if call.started is not None and now - call.started > self._limits.timeout_s
        ]
        results = []
        for reference in overdue:
            self._ray.cancel(reference, force=True)
            message = f"took longer than the timeout of {self._limits.timeout_s:g} s and was killed"
            results.append(self._finish(reference, None, message, "Timeout"))
        return results

    def _warn_when_stuck(self, heard: bool, quiet_since: float) -> float:
        """Say once a minute that no call gets the resources it asks for."""
        now = time.monotonic()
        running = any(call.started is not None for call in self._calls.values())
        if heard or running or not self._calls:
            return now
        if now - quiet_since < _PATIENCE_S:
            return quiet_since
        logger.warning(
            "%d oracle calls wait for resources (each asks for %s); lower what a call takes, or "
            "wait for nodes",
            len(self._calls),
            _asked(self._limits),
        )
        return now


def _explain(error: BaseException, ray: Any) -> tuple[str, str, str]:
    """Message, type and trace of a call that ended without a result."""
    if isinstance(error, ray.exceptions.RayTaskError):
        # What Ray raises is made from the cause's class and keeps the trace in its text only.
        cause, trace = error.cause, str(error)
        if isinstance(cause, MemoryError):
            return f"out of memory: {cause}", "OutOfMemory", trace
        return f"{type(cause).__name__}: {cause}", type(cause).__name__, trace
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return f"killed because the node ran out of memory: {reason}", "OutOfMemory", ""
    return f"the worker process died: {reason}", "Crash", ""
