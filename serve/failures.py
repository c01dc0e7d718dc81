"""What ended a replica: a kill, which a fresh start mends, or its own fault, which none does."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from defects.errors import ModelError

#: What Ray says of a process that ended without a word of its own.
_DIED = re.compile(r"\b(ActorDiedError|ActorUnavailableError|NodeDiedError|WorkerCrashedError)\b")
#: What it says where the process did have a word: it will be the same one the next time.
_OWN_FAULT = "raised in its creation task"
#: What vLLM says of the processes of its engine: names and exit codes.
_ENGINES = re.compile(r"Failed core proc\(s\): \{([^}]*)\}")
#: What multiprocessing makes of a process whose fork server is gone.
_FORK_SERVER_DIED = 255
#: Counts of the kernel: of this container, else of the machine.
_OOM_COUNTS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


class UnavailableError(ModelError):
    """The service is away through no fault of the request or the model: a fresh start can help."""


def was_killed(text: str) -> bool:
    """Whether a Ray Serve failure text tells of a process that something else ended.

    Parameters
    ----------
    text : str
        Message of a deployment that failed to start.
    """
    if "OutOfMemoryError" in text:
        return False  # Ray's own watch over the memory; the next process would meet the same end
    engines = _ENGINES.search(text)
    if engines:
        codes = [int(code) for code in re.findall(r": (-?\d+)", engines[1])]
        # By a signal, or together with the fork server that it came from.
        return bool(codes) and all(code < 0 or code == _FORK_SERVER_DIED for code in codes)
    return _DIED.search(text) is not None and _OWN_FAULT not in text


def oom_kills() -> int:
    """Processes that the kernel has ended for want of memory so far; 0 where it does not tell."""
    for file in _OOM_COUNTS:
        with suppress(OSError, ValueError):
            counts = dict(line.split() for line in file.read_text().splitlines())
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return 0
