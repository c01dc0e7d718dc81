"""Labels of many configurations, computed side by side as Ray tasks.

A failed configuration is a result like any other; nothing that happens to one of them stops the
rest. Tries are bounded, slow calls are killed, and at most a given number is in flight, so that a
batch can be any size.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.hosts import Host
from defects.oracles import OracleSpec
from design_loop.oracle_calls import LabelResult, OraclePool, PoolLimits, Task

__all__ = [
    "LabelResult",
    "PoolLimits",
    "compute_pristine",
    "label_batch",
    "label_stream",
    "needs_pristine",
    "with_pristine",
]

logger = logging.getLogger(__name__)

#: Further tries of the pristine energy, without which no label can be had.
_PRISTINE_RETRIES = 3


def label_batch(
    oracle: OracleSpec,
    configurations: Iterable[Configuration],
    on_result: Callable[[LabelResult], None],
    on_failure: Callable[[LabelResult], None],
    limits: PoolLimits | None = None,
) -> tuple[int, int]:
    """Label configurations and hand each over as soon as it is done.

    Returns
    -------
    tuple of int
        How many succeeded and how many failed.

    Raises
    ------
    DesignLoopError
        Only when the oracle as a whole cannot work (see `label_stream`).
    """
    counts = [0, 0]
    for result in label_stream(oracle, configurations, limits):
        (on_result if result.ok else on_failure)(result)
        counts[0 if result.ok else 1] += 1
    return counts[0], counts[1]


def label_stream(
    oracle: OracleSpec,
    configurations: Iterable[Configuration],
    limits: PoolLimits | None = None,
) -> Iterator[LabelResult]:
    """Label configurations, yielding each as soon as it is done, in any order.

    Ray has to run already. Closing the iterator kills what is in flight.

    Parameters
    ----------
    oracle : OracleSpec
        Built again in every worker.
    configurations : iterable of Configuration
        Taken as places become free.
    limits : PoolLimits, optional

    Raises
    ------
    DesignLoopError
        When the oracle cannot be built, or the pristine energy that all formation energies need
        cannot be computed.
    """
    limits = limits or PoolLimits()
    tasks = deque(Task(i, c) for i, c in enumerate(configurations))
    # The pristine supercell itself is its own reference.
    for host in {t.configuration.host: None for t in tasks if t.configuration.n_defects}:
        oracle = with_pristine(oracle, host, limits)
    yield from OraclePool(oracle, limits).run(tasks)


def needs_pristine(oracle: OracleSpec, host: Host) -> bool:
    """Whether the pristine energy of a host has to be computed before formation energies can be."""
    built = oracle.build()
    return bool(built.chemical_potentials(host)) and not built.knows_pristine(host)


def compute_pristine(
    oracle: OracleSpec,
    host: Host,
    limits: PoolLimits | None = None,
    label: Callable[..., object] = label_batch,
) -> LabelResult:
    """Label the pristine supercell, with tries of its own.

    Parameters
    ----------
    oracle : OracleSpec
    host : Host
    limits : PoolLimits, optional
    label : callable
        Computes; called like `label_batch`.

    Raises
    ------
    OracleError
        When it cannot be computed.
    """
    logger.info("computing the pristine energy of %s", host.key)
    limits = limits or PoolLimits()
    # Not a call that somebody counts: a worker that died must not end what all others are for.
    # And a halt that is asked for waits for it, as for every call in flight.
    limits = replace(limits, retries=max(limits.retries, _PRISTINE_RETRIES), stop=None)
    results: list[LabelResult] = []
    label(oracle, [Configuration(host, ())], results.append, results.append, limits)
    [result] = results
    if result.labels is None:
        raise OracleError(
            f"the energy of pristine {host.key}, which formation energies need, could not be "
            f"computed by oracle {oracle.kind}: {result.error}"
        )
    return result


def with_pristine(oracle: OracleSpec, host: Host, limits: PoolLimits | None = None) -> OracleSpec:
    """The same oracle, knowing the pristine energy of a host: computed once, not by every worker.

    Raises
    ------
    OracleError
        When it is needed and cannot be computed.
    """
    if not needs_pristine(oracle, host):
        return oracle
    labels = compute_pristine(oracle, host, limits).labels
    assert labels is not None
    return oracle.with_pristine(host.key, labels["energy"])
