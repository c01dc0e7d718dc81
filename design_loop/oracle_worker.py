"""What runs on a worker of Ray for one oracle call."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from typing import Any

from defects.configuration import Configuration
from defects.errors import DesignLoopError
from defects.hosts import Host
from defects.oracles import PERMANENT, OracleSpec

_HOSTS: dict[tuple[str, bytes, bytes], Host] = {}


def label_in_worker(
    oracle: dict[str, Any], host: Host, changes: dict[int, str], threads: int | None
) -> Iterator[dict[str, Any]]:
    """Ray task: says that it started, then what came out.

    Two messages, so that the time a call waits for resources does not count against its timeout.
    `threads` is None where the process's environment says how many.
    """
    yield {"state": "started", "pid": os.getpid()}
    threads = oracle["settings"].get("threads") or threads
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when an oracle loads its library
    # Keep one host per process: its symmetry group takes longer than some labels.
    content = host.key, host.unit_lattice.tobytes(), host.unit_frac_coords.tobytes()
    host = _HOSTS.setdefault(content, host)
    try:
        built = OracleSpec.from_dict(oracle).build()
        found = built.compute(Configuration.from_changes(host, changes))
    except DesignLoopError as error:
        yield {
            "state": "failed",
            "error": str(error),
            "error_type": type(error).__name__,
            "traceback": traceback.format_exc(),
            "permanent": isinstance(error, PERMANENT),
        }
    else:
        yield {"state": "done", "labels": found.properties, "details": found.details}
