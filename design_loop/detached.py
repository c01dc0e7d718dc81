"""Drivers in processes of their own, which outlive whoever started them.

A driver holds a file lock for as long as it lives, so that it can be counted by anybody, however it
ended. It is the child of a process that has ended: neither the shell nor Ray, which ends the
children of its workers, takes it down.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from defects.errors import DesignLoopError

log = logging.getLogger(__name__)

LOCK = "driver.lock"
_LAUNCH_LOCK = ".launch.lock"
_LAUNCH_S = 60.0
#: The ledger's address may hold a password, and everybody on a machine may read command lines.
_STORE = "DESIGN_LOOP_DRIVER_STORE"
#: Of Ray's variables in a worker these are the user's own; the others bind a process to it.
_KEPT = {"RAY_TMPDIR", "RAY_USAGE_STATS_ENABLED"}


class TooManyError(DesignLoopError):
    """As many campaigns run as may run at a time."""


def drivers(workdir: Path) -> list[str]:
    """Ids of the campaigns whose detached driver lives."""
    return sorted(path.parent.name for path in workdir.glob(f"*/{LOCK}") if _is_locked(path))


def launch(campaign: str, workdir: Path, store: str, expected: str, most: int | None = None) -> int:
    """Have a campaign driven by a process of its own.

    Parameters
    ----------
    campaign : str
        Its id.
    workdir : Path
        Its work folder; the driver's output goes to ``<campaign>/logs/driver.log`` in it.
    store : str
        The ledger.
    expected : str
        The driver does not begin if the campaign is in another state by then.
    most : int, optional
        How many detached drivers of this folder may live at a time.

    Returns
    -------
    int
        Process id of the driver.

    Raises
    ------
    TooManyError
        `most` live already.
    DesignLoopError
        The process could not be started.
    """
    folder = workdir.absolute() / campaign
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(workdir):
        living = drivers(workdir)
        if most is not None and len(living) >= most:
            raise TooManyError(
                f"{len(living)} campaigns run already, which is as many as may run at a time"
            )
        if campaign in living:
            raise DesignLoopError(f"{campaign}: its driver is starting or at work already")
        command = [sys.executable, "-m", "design_loop.detached", campaign, "--workdir", workdir]
        command += ["--expected", expected, "--launch"]
        done = subprocess.run(
            list(map(str, command)),
            env={**_environment(), _STORE: store},
            capture_output=True,
            text=True,
            timeout=_LAUNCH_S,
        )
    if done.returncode != 0:
        log.error("the driver of %s was not started: %s", campaign, done.stderr)
        raise DesignLoopError(f"{campaign}: its driver could not be started; see the log")
    return int(done.stdout)


def _is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextmanager
def _one_at_a_time(workdir: Path) -> Iterator[None]:
    with (workdir / _LAUNCH_LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _environment() -> dict[str, str]:
    """The environment without what binds a process to a worker of Ray."""
    inside = "RAY_RAYLET_PID" in os.environ or "RAY_JOB_ID" in os.environ
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") or k in _KEPT}
    if inside:
        # Ray gives them to a worker without CPUs and GPUs; the driver has the machine's.
        for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
            kept.pop(name, None)
    return kept


def _start(arguments: argparse.Namespace) -> None:
    """In between: start the driver with its lock held, tell its process id, and end."""
    folder = arguments.workdir.absolute() / arguments.campaign
    with (folder / LOCK).open("a") as lock, (folder / "logs" / "driver.log").open("ab") as output:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        command = [w for w in sys.argv[1:] if w != "--launch"]
        process = subprocess.Popen(
            [sys.executable, "-m", "design_loop.detached", *command, "--lock", str(lock.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(lock.fileno(),),
        )
    print(process.pid)


def _drive(arguments: argparse.Namespace) -> int:
    """The driver itself."""
    from design_loop.campaign.driver import resume
    from design_loop.cli.output import stoppable
    from design_loop.ledger import CampaignState, Ledger
    from design_loop.progress.lasting import lasting_output
    from design_loop.progress.plain import PlainProgress
    from design_loop.results import leave_results

    os.set_inheritable(arguments.lock, False)  # held by this process alone
    store = os.environ.pop(_STORE)  # nor is it for the processes that it starts
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} driver, process {os.getpid()}", flush=True)
    expected = CampaignState(arguments.expected)
    try:
        with (
            lasting_output(),
            PlainProgress(sys.stdout) as progress,
            stoppable(lambda: "nothing is lost"),
        ):
            summary = resume(
                arguments.campaign, arguments.workdir, store, progress, expected=expected
            )
        with Ledger(store, create=False) as ledger:
            leave_results(ledger, summary)
    except (DesignLoopError, OSError) as error:
        log.error("%s", error)
        with Ledger(store, create=False) as ledger:
            ledger.event(arguments.campaign, f"driver: {error}", level="error")
        return 1
    return 0


def main() -> int:
    """Entry point of both processes."""
    parser = argparse.ArgumentParser(prog="python -m design_loop.detached")
    parser.add_argument("campaign")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--expected", required=True)
    parser.add_argument("--lock", type=int)
    parser.add_argument("--launch", action="store_true")
    arguments = parser.parse_args()
    if not os.environ.get(_STORE):
        parser.error(f"{_STORE} names no ledger")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    if arguments.launch:
        _start(arguments)
        return 0
    return _drive(arguments)


if __name__ == "__main__":
    sys.exit(main())
