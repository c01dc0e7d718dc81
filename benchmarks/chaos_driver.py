"""A campaign with a stand-in cluster whose driver is killed, and what is left of it afterwards.

Ledger, driver, steps and files are the real ones; answers, labels and adapters come from the
stand-in of the tests, and a surrogate that was fitted to the same labels before is copied. Drivers
are forked, so that a start costs nothing but the campaign's own work. Used by chaos.py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "design_loop" / "campaign"))

import quick_services
from sqlalchemy import Connection, Engine, event

from defects import folders
from defects.datasets import Dataset
from defects.surrogates.folder import SURROGATE, unfinished_folder
from design_loop.campaign import driver
from design_loop.config import load_campaign
from design_loop.ledger import Ledger
from design_loop.progress import SilentProgress

CALL_S = 0.2
#: Tables of a commit that is nothing new when a driver starts again.
_STARTING = {"leases", "campaigns", "requests", "events"}


class SlowServices(quick_services.QuickServices):
    """The stand-in, whose oracle takes a while and tells what it begins and what was committed."""

    def label(self, oracle, configurations, on_result, on_failure, limits) -> tuple[int, int]:
        """One call after the other, as a single worker would."""
        table = oracle.build()
        for i, configuration in enumerate(configurations):
            self._tell(f"begin {configuration.key}")
            _work(CALL_S)
            labels = table.label(configuration)
            on_result(quick_services.LabelResult(i, configuration, labels, seconds=CALL_S))
            self._tell(f"kept {configuration.key}")
        return len(configurations), 0

    def _tell(self, line: str) -> None:
        with self.calls.open("a") as file:
            file.write(line + "\n")


def _work(seconds: float) -> None:
    """Use the processor for so long: a moment of death is chosen by the time that it ran."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def remember_fits(cache: Path) -> None:
    """Fit a surrogate to the same labels once; later copy the folder, file by file, as it was."""
    import training.surrogate as module

    fit = module.fit_surrogate

    def remembered(configurations: Any, values: Any, host: Any, out_dir: Path, **options: Any):
        content = [c.key for c in configurations], {k: list(v) for k, v in values.items()}
        kept = cache / hashlib.sha256(repr(content).encode()).hexdigest()[:16]
        if not kept.exists():
            manifest = fit(configurations, values, host, out_dir, **options)
            with folders.unfinished_folder(cache, ".") as work:
                shutil.copytree(out_dir, work, dirs_exist_ok=True)
                work.replace(kept)
            return manifest
        with unfinished_folder(out_dir) as work:
            for path in sorted(p for p in kept.rglob("*") if p.is_file()):
                target = work / path.relative_to(kept)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
                _work(0.002)
            work.replace(out_dir)
        return SURROGATE.read(out_dir)

    module.fit_surrogate = remembered


@dataclass
class Outcome:
    """What a campaign came to.

    Attributes
    ----------
    deaths
        How often its driver was killed.
    labels
        Candidate -> properties, as they were read after every death and at the end.
    lost, changed, repeated, excess
        Labels that were there and are not; that have other values; calls computed again although
        their label was kept; calls begun more often than drivers died.
    final
        The end, to be compared with an undisturbed campaign's.
    """

    deaths: int = 0
    seen: dict[str, Any] = field(default_factory=dict)
    lost: int = 0
    changed: int = 0
    repeated: int = 0
    excess: int = 0
    redone: int = 0
    final: dict[str, Any] = field(default_factory=dict)

    @property
    def harm(self) -> int:
        return self.lost + self.changed + self.repeated + self.excess


@cache
def known(folder: Path) -> Dataset:
    """The campaign's dataset, read once before the forks; every driver works on that memory."""
    dataset = driver.load_data(load_campaign(folder / "campaign.yaml"))
    for record in dataset:
        record.configuration.key  # noqa: B018  derived once here instead of in every driver
    return dataset


#: Read once for the same reason.
quick_services.bundled_dataset = cache(quick_services.bundled_dataset)


def drive(folder: Path) -> None:
    """Start the campaign of a folder, or go on with it."""
    warnings.simplefilter("ignore")
    remember_fits(folder.parent / "fits")
    store = folder / "runs" / "ledger.sqlite"

    def services(config: Any, campaign: Path, tell: Any) -> SlowServices:
        made = SlowServices(campaign, config)
        last = sorted((campaign / "surrogates").glob("r*/manifest.json"))
        if last:
            made.use_surrogate(last[-1].parent)
        return made

    names, data = campaigns(folder), known(folder)
    silent = SilentProgress()
    if names:
        driver.resume(names[0], folder / "runs", str(store), silent, services, data)
    else:
        config = load_campaign(folder / "campaign.yaml")
        driver.start(config, folder / "runs", str(store), silent, services, data)


def fork(folder: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """Drive in a child; returns its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        log = os.open(folder / "driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            prepare()
            drive(folder)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    return child


def wait(child: int) -> bool:
    """Wait for a driver; True where it came to the campaign's end, False where it was killed.

    Raises
    ------
    RuntimeError
        It failed by itself.
    """
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a driver ended with exit code {code}; see driver.log")
    return code == 0


def killed_after(folder: Path, seconds: float) -> bool:
    """Drive, kill -9 once it ran for so long; True where the campaign ended before.

    Seconds are of the processor: a busy machine shifts no moment of death.
    """
    child = fork(folder)
    while _ran(child) < seconds:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return wait(child)


def _ran(process: int) -> float:
    """Seconds of the processor that a child used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def killed_at_commit(folder: Path, when: str, number: int, *, every: bool = False) -> bool:
    """Drive until the `number`-th commit that brings something new (or any), then die.

    `when` is ``before`` the database has it or ``after``.
    """
    return wait(fork(folder, lambda: _die_at(when, number, every)))


def _die_at(when: str, number: int, every: bool) -> None:
    state: dict[str, Any] = {"tables": set(), "commits": 0, "armed": False}

    def executed(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        words = statement.split(None, 3)
        if words and words[0] in ("INSERT", "UPDATE", "DELETE"):
            at = 1 if words[0] == "UPDATE" else 2
            state["tables"].add(words[at].strip('"'))

    def committing(connection: Connection) -> None:
        tables = state["tables"]
        new = tables if every or "leases" not in tables else set()
        if not every:
            new = new - _STARTING
        if new:
            state["commits"] += 1
            if state["commits"] == number:
                if when == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                state["armed"] = True
        state["tables"] = set()

    def returned(*_: Any) -> None:
        # SQLAlchemy tells of a commit before it is done; after it the connection goes back.
        if state["armed"]:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", executed)
    event.listen(Engine, "commit", committing)
    event.listen(Engine, "checkin", returned)


def campaigns(folder: Path) -> list[str]:
    """Ids in the ledger of a folder, read without the program."""
    rows = _rows(folder, "SELECT id FROM campaigns")
    return [row[0] for row in rows]


def labels(folder: Path) -> dict[str, str]:
    """Candidate -> properties of the committed labels, read without the program."""
    return dict(_rows(folder, "SELECT candidate, properties FROM labels WHERE source = 'oracle'"))


def _rows(folder: Path, query: str) -> list[tuple]:
    file = folder / "runs" / "ledger.sqlite"
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # killed before the tables were made
                return []
            raise


def check(folder: Path, outcome: Outcome) -> None:
    """Compare what is committed now with what was seen before."""
    now = labels(folder)
    outcome.lost += len(outcome.seen.keys() - now.keys())
    outcome.changed += sum(now.get(k, v) != v for k, v in outcome.seen.items())
    outcome.seen = now


def finish(folder: Path, outcome: Outcome) -> Outcome:
    """Count what was computed twice and read the final state."""
    check(folder, outcome)
    begun, kept = Counter(), set()
    for path in (folder / "runs").glob("**/oracle_calls.log"):
        for line in path.read_text().splitlines():
            word, _, key = line.partition(" ")
            begun[key] += word == "begin"
            outcome.repeated += word == "begin" and key in kept
            if word == "kept":
                kept.add(key)
    outcome.redone = begun.total() - len(begun)
    outcome.excess = max(0, outcome.redone - outcome.deaths)
    outcome.final = final_state(folder)
    return outcome


def final_state(folder: Path) -> dict[str, Any]:
    """Everything that has to be as in an undisturbed campaign, but times and numbers of tries."""
    with Ledger(folder / "runs" / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
        name = campaign.id
        rounds = [r.number for r in ledger.rounds(name)]
        return {
            "state": str(campaign.state),
            "steps": [(s.round, s.name, str(s.state)) for s in ledger.steps(name)],
            "samples": [ledger.samples(name, number) for number in rounds],
            "candidates": ledger.candidates(name),
            "predictions": ledger.predictions(name),
            "selections": [ledger.selections(name, number) for number in rounds],
            "labels": sorted(
                (x.candidate, x.round, str(x.properties)) for x in ledger.labels(name)
            ),
            "funnel": ledger.funnel(name),
            "adapters": [a.name for a in ledger.adapters(name)],
            "surrogates": [s.version for s in ledger.surrogates(name)],
        }
