"""Kill -9 what a campaign on a real Ray runs on, and see what is lost.

    python benchmarks/chaos_cluster.py --kinds oracle-worker=40,surrogate-replica=20,raylet=10

Real Ray, Serve, CatBoost and ledger; the oracle is made up and takes a while. Of the processes that
a driver has started, and of no others, one of a kind is killed at a random moment, then the next,
until the campaign ends. It has to mend itself; where its driver ends with an error, another one
goes on (`resume`). Every campaign has to end as the one of its sort that nobody disturbed, which is
run first (--no-comparison: not at all). Kills of train-worker, llm-replica and engine are within a
campaign with the small language model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import chaos_driver as chaos
import psutil
import slow_oracle
from chaos_cluster_driver import SERVED

from defects.configuration import Configuration
from defects.datasets import Dataset, bundled_dataset, write_dataset
from defects.structures import to_atoms
from design_loop.ledger import Ledger

CAMPAIGN = """\
name: chaos
seed: 3
host: {{name: MoS2, supercell: 4x4}}
rules: {{defects: [V_Mo, V_S, W_Mo, Se_S], max_defects: 6}}
targets:
  - {{property: formation_energy_per_site, max: 0.2}}
rounds: {rounds}
dataset: {folder}/known
proposer: {{kind: {proposer}}}
generation: {{samples: 24, per_prompt: 4}}
adapter: {{learning_rate: 2.0e-3, epochs: 100, max_steps: 10}}
surrogate: {{kind: trees, iterations: 5, folds: 3, min_labels: 20}}
learn: {{last_round: false, distil: 30}}
selection: {{budget: {budget}}}
oracle:
  kind: ase
  retries: {retries}
  settings:
    calculator: slow_oracle:Slow
    arguments: {{seconds: {call_s}}}
    chemical_potentials: {{Mo: -41.5, S: -15.5, W: -73.5, Se: -33.5}}
resources: {{oracle_parallel: {parallel}, cpus: 8}}
"""
LLM_SERVING = "serving: {engine: {max_model_len: 1024, kv_cache_gib: 0.5, cpu_threads: 1}}\n"

PARALLEL = 2
#: Folder of the made-up oracle, for drivers and workers to import.
CODE = "code"


@dataclass(frozen=True)
class Kind:
    """Processes of a kind.

    Attributes
    ----------
    title
        What their command line looks like.
    sort
        Of campaign that has them: ``random``, with the surrogate ``served``, or ``llm``.
    span_s, span_calls
        A victim is killed within so long of the last one, or within so many further oracle calls.
    in_flight
        Oracle calls that die with one.
    """

    title: re.Pattern[str]
    sort: str
    span_s: float = 0.0
    span_calls: int = 0
    in_flight: int = 0


KINDS = {
    "driver": Kind(
        re.compile(r"chaos_cluster_driver\.py"), "random", span_calls=3, in_flight=PARALLEL
    ),
    "oracle-worker": Kind(
        re.compile(r"^ray::label_in_worker"), "random", span_calls=2, in_flight=1
    ),
    "raylet": Kind(re.compile(r"/raylet/raylet "), "random", span_calls=3, in_flight=PARALLEL),
    "surrogate-replica": Kind(
        re.compile(r"^ray::ServeReplica:design-loop-surrogate"), "served", span_s=10
    ),
    "train-worker": Kind(re.compile(r"^ray::.*RayTrainWorker"), "llm", span_s=6),
    "llm-replica": Kind(re.compile(r"^ray::ServeReplica:design-loop-llm"), "llm", span_s=30),
    "engine": Kind(re.compile(r"VLLM::EngineCore|serve\.engine_imports"), "llm", span_s=30),
}


class Options(Protocol):
    """What the command line says."""

    call_s: float
    rounds: int
    budget: int
    retries: int
    at_most: int
    patience_s: float
    no_comparison: bool


@dataclass
class Disturbed:
    """What became of a campaign.

    Attributes
    ----------
    kills, drivers
        Processes killed; drivers that it took.
    errors
        Last lines of drivers that ended with an error.
    hung
        Drivers that were given up since nothing happened.
    left
        Processes that outlived their driver.
    lost, changed, doubled
        Labels that were there and are not; that have other values; rows for a candidate too many.
    computed, redone, repeated, in_flight, excess
        Calls begun; begun again; begun though their label was kept; that may have died with what
        was killed; begun again beyond those.
    """

    kills: int = 0
    drivers: int = 0
    errors: list[str] = field(default_factory=list)
    hung: int = 0
    left: int = 0
    seen: dict[str, str] = field(default_factory=dict)
    lost: int = 0
    changed: int = 0
    doubled: int = 0
    computed: int = 0
    redone: int = 0
    repeated: int = 0
    in_flight: int = 0
    excess: int = 0
    seconds: float = 0.0
    final: dict[str, Any] = field(default_factory=dict)


class Family:
    """A driver and all processes that it started, also those whose parent died."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._known = {process.pid: psutil.Process(process.pid)}

    def look(self) -> list[psutil.Process]:
        """Those that live."""
        rows = {p.pid: p for p in psutil.process_iter(["ppid"]) if p.pid not in self._known}
        while new := {i: p for i, p in rows.items() if p.info["ppid"] in self._known}:
            self._known |= new
            rows = {i: p for i, p in rows.items() if i not in new}
        return [p for p in self._known.values() if _lives(p)]

    def of(self, kind: Kind) -> list[psutil.Process]:
        """Those of a kind."""
        return [p for p in self.look() if kind.title.search(_line(p))]

    def end(self) -> int:
        """End what is left some seconds after the driver; how many those are."""
        deadline = time.monotonic() + 15
        while (left := self.look()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        return len(left)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _line(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def write_campaign(folder: Path, sort: str, options: Options) -> None:
    """A campaign over a few of the shipped labels."""
    folder.mkdir(parents=True)
    whole = bundled_dataset("xtb-mos2-4x4")
    known = Dataset(whole.host, whole.records[:40], whole.chemical_potentials, whole.pristine)
    write_dataset(known, folder / "known")
    text = CAMPAIGN.format(
        folder=folder,
        proposer="llm" if sort == "llm" else "random",
        rounds=options.rounds,
        budget=options.budget,
        retries=options.retries,
        call_s=options.call_s,
        parallel=PARALLEL,
    )
    # Alone in a folder: a whole folder of scripts on PYTHONPATH hides modules of Python's own.
    (folder / CODE).mkdir()
    shutil.copy(slow_oracle.__file__, folder / CODE)
    (folder / "campaign.yaml").write_text(text + (LLM_SERVING if sort == "llm" else ""))
    if sort == "served":
        from served import made_up_surrogate

        if not (folder.parent / SERVED).exists():
            made_up_surrogate(folder.parent / SERVED)
        shutil.copytree(folder.parent / SERVED, folder / SERVED)


def start_driver(folder: Path) -> subprocess.Popen:
    """A driver in a session of its own."""
    here = Path(__file__).parent
    path = os.pathsep.join(filter(None, [str(folder / CODE), os.environ.get("PYTHONPATH")]))
    with (folder / "driver.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, str(here / "chaos_cluster_driver.py"), str(folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, slow_oracle.LOG: str(folder / "calls.log")},
            start_new_session=True,
        )


def undisturbed(folder: Path, sort: str, options: Options) -> Disturbed:
    """The campaign that nobody kills anything of."""
    write_campaign(folder, sort, options)
    return _until_done(folder, (), 0, random.Random(0), options)


def disturbed(
    folder: Path, names: Sequence[str], kills: int, rng: random.Random, options: Options
) -> Disturbed:
    """One campaign of which processes of these kinds are killed in turn at random moments."""
    kinds = [KINDS[name] for name in names]
    write_campaign(folder, kinds[0].sort, options)
    return _until_done(folder, kinds, kills, rng, options)


def _until_done(
    folder: Path, kinds: Sequence[Kind], kills: int, rng: random.Random, options: Options
) -> Disturbed:
    outcome, began = Disturbed(), time.monotonic()
    while True:
        outcome.drivers += 1
        if outcome.drivers > (kills + 3 if kinds else 1):
            raise RuntimeError(f"{folder}: no driver comes to the end; see driver.log")
        process = start_driver(folder)
        family = Family(process)
        hung = _disturb(folder, process, family, kinds, kills, rng, options, outcome)
        code = process.wait()
        outcome.left += family.end()
        _look(folder, outcome)
        if code == 0:
            break
        if hung:
            outcome.hung += 1
        elif code != -signal.SIGKILL:
            lines = (folder / "driver.log").read_text().strip().splitlines()
            outcome.errors.append(f"exit code {code}: {lines[-1] if lines else ''}")
    outcome.seconds = time.monotonic() - began
    _count(folder, outcome)
    outcome.final = chaos.final_state(folder)
    return outcome


class Moment:
    """When the next process is to be killed: by the clock, or by the oracle's calls."""

    def __init__(self, folder: Path, kind: Kind, rng: random.Random, call_s: float) -> None:
        self._folder, self._kind, self._rng, self._call_s = folder, kind, rng, call_s
        self._at = time.monotonic() + rng.uniform(0, kind.span_s)
        self._calls = calls_begun(folder) + rng.randint(min(1, kind.span_calls), kind.span_calls)

    def has_come(self) -> bool:
        """Whether it is time; in a call that may be at any moment of it."""
        if time.monotonic() < self._at or calls_begun(self._folder) < self._calls:
            return False
        if self._kind.span_calls:
            time.sleep(self._rng.uniform(0, self._call_s))
        return True


def calls_begun(folder: Path) -> int:
    """Oracle calls so far."""
    log = folder / "calls.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def _disturb(
    folder: Path,
    process: subprocess.Popen,
    family: Family,
    kinds: Sequence[Kind],
    kills: int,
    rng: random.Random,
    options: Options,
    outcome: Disturbed,
) -> bool:
    """Kill until the driver ends; True where it had to be ended since nothing happened."""
    looked = changed = time.monotonic()
    before, moment = -1, None
    while process.poll() is None:
        time.sleep(0.05)
        now = time.monotonic()
        size = sum(p.stat().st_size for p in folder.glob("*.log"))
        if size != before:
            before, changed = size, now
        if now - changed > options.patience_s:
            process.kill()
            return True
        if now - looked > 1:
            looked = now
            family.look()  # who loses its parent is nobody's child any more
        if not kinds or outcome.kills >= kills:
            continue
        kind = kinds[outcome.kills % len(kinds)]
        moment = moment or Moment(folder, kind, rng, options.call_s)
        if not moment.has_come() or not (victims := family.of(kind)):
            continue
        victim = rng.choice(victims)
        _look(folder, outcome)
        if not kind.title.search(_line(victim)):
            continue  # has just finished its call
        with suppress(psutil.Error):
            victim.kill()
        outcome.kills += 1
        outcome.in_flight += kind.in_flight
        moment = None
        with (folder / "kills.log").open("a") as file:
            file.write(f"{time.time()} {victim.pid} {kind.title.pattern}\n")
    return False


def _look(folder: Path, outcome: Disturbed) -> None:
    """Compare the labels that are committed now with those seen before."""
    now = chaos.labels(folder)
    outcome.lost += len(outcome.seen.keys() - now.keys())
    outcome.changed += sum(now.get(k, v) != v for k, v in outcome.seen.items())
    outcome.seen = now


def _count(folder: Path, outcome: Disturbed) -> None:
    """What was computed twice."""
    rows = chaos._rows(folder, "SELECT candidate FROM labels WHERE source = 'oracle'")
    outcome.doubled = len(rows) - len(set(rows))
    begun = [line.split() for line in (folder / "calls.log").read_text().splitlines()]
    with Ledger(folder / "runs" / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
        kept = {
            _structure(label.configuration, campaign.config): label.time.timestamp()
            for label in ledger.labels(campaign.id)
        }
    calls = [(float(at), key) for at, _, key in begun if key in kept]
    outcome.computed = len(calls)
    outcome.redone = len(calls) - len({key for _, key in calls})
    outcome.repeated = sum(at > kept[key] for at, key in calls)
    outcome.excess = max(0, outcome.redone - outcome.in_flight)


def _structure(data: Any, config: Any) -> str:
    from defects.hosts import get_host

    host = get_host(config["host"]["name"], config["host"]["supercell"])
    return slow_oracle.structure_key(to_atoms(Configuration.from_dict(data, host).canonical()))


def run(kinds: dict[str, int], seed: int, folder: Path, options: Options) -> dict[str, Any]:
    """All campaigns; a summary of plain numbers per kind."""
    expected: dict[str, Disturbed | None] = {}
    sorts: dict[str, str] = {}
    rows = []
    for name, kills in kinds.items():
        names, rng = name.split("+"), random.Random(f"{seed} {name}")
        [sort] = {KINDS[n].sort for n in names}
        sorts[name] = sort
        if sort not in expected:
            place = folder / f"undisturbed-{sort}"
            expected[sort] = None if options.no_comparison else undisturbed(place, sort, options)
        found: list[Disturbed] = []
        while (left := kills - sum(o.kills for o in found)) > 0:
            place = folder / f"{name}-{len(found)}"
            found.append(disturbed(place, names, min(left, options.at_most), rng, options))
            print(f"{place.name}: {_brief(found[-1], expected[sort])}", file=sys.stderr, flush=True)
            if not found[-1].kills:
                raise RuntimeError(f"{place}: no process of kind {name} was found")
        rows.append(summary(name, found, expected[sort]))
    # Where something differs it may be that not even an undisturbed one repeats itself.
    doubtful = {sorts[row["killed"]] for row in rows if row["ended otherwise"]}
    again = {
        sort: _differing(undisturbed(folder / f"again-{sort}", sort, options), expected[sort])
        for sort in doubtful
    }
    return {
        "seed": seed,
        "undisturbed_s": {sort: round(o.seconds, 1) for sort, o in expected.items() if o},
        "undisturbed_again_differs_in": again,
        "rows": rows,
    }


def summary(name: str, found: list[Disturbed], expected: Disturbed | None) -> dict[str, Any]:
    """One row of the table; without what is expected nothing is said of the end."""
    return {
        "killed": name,
        "campaigns": len(found),
        "kills": sum(o.kills for o in found),
        "labels": sum(len(o.seen) for o in found),
        "lost or changed": sum(o.lost + o.changed for o in found),
        "twice in the ledger": sum(o.doubled for o in found),
        "computed again though kept": sum(o.repeated for o in found),
        "in flight, redone": sum(o.redone for o in found),
        "more redone than in flight": sum(o.excess for o in found),
        "drivers that ended with an error": dict(Counter(e for o in found for e in o.errors)),
        "drivers that hung": sum(o.hung for o in found),
        "processes left over": sum(o.left for o in found),
        "ended otherwise": expected and sum(o.final != expected.final for o in found),
        "differing": expected and dict(Counter(k for o in found for k in _differing(o, expected))),
        "seconds": round(sum(o.seconds for o in found)),
    }


def _differing(outcome: Disturbed, expected: Disturbed) -> list[str]:
    return [k for k, v in outcome.final.items() if expected.final[k] != v]


def _brief(o: Disturbed, expected: Disturbed | None) -> str:
    return (
        f"{o.kills} kills, {o.drivers} drivers, {o.redone} redone, {o.lost + o.changed} lost, "
        f"{o.seconds:.0f} s, errors {o.errors}, hung {o.hung}, left {o.left}, "
        f"differing {expected and _differing(o, expected)}"
    )


def parse_kinds(text: str) -> dict[str, int]:
    """``kind=kills,kind=kills``; ``kind+kind=kills`` kills both in the same campaigns."""
    found = {}
    for part in text.split(","):
        names, _, number = part.partition("=")
        kinds = [KINDS.get(name) for name in names.split("+")]
        if None in kinds or not number.isdigit():
            raise argparse.ArgumentTypeError(f"{part!r} is no KIND=KILLS, KIND of {list(KINDS)}")
        if len({kind.sort for kind in kinds if kind}) > 1:
            raise argparse.ArgumentTypeError(f"{names}: no campaign has all of these")
        found[names] = int(number)
    return found


def main() -> None:
    """Print the rows, as text or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", type=parse_kinds, required=True, metavar="KIND=KILLS,...")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-most", type=int, default=8, help="kills per campaign")
    parser.add_argument("--call-s", type=float, default=0.6, help="seconds of an oracle call")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--budget", type=int, default=6, help="oracle calls per round")
    parser.add_argument("--retries", type=int, default=3, help="further tries of an oracle call")
    parser.add_argument(
        "--patience-s", type=float, default=300, help="a driver silent for so long hangs"
    )
    parser.add_argument("--no-comparison", action="store_true", help="no undisturbed campaign")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    options = parser.parse_args()
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="chaos-"))).absolute()
    ray_folder = tempfile.mkdtemp(prefix="dl")  # short: Ray keeps sockets below it
    os.environ["RAY_TMPDIR"] = ray_folder
    os.environ.pop("RAY_ADDRESS", None)
    try:
        found = run(options.kinds, options.seed, folder, options)
    finally:
        shutil.rmtree(ray_folder, ignore_errors=True)
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if options.format == "json":
        print(json.dumps(found, indent=2))
        return
    print(
        f"undisturbed: {found['undisturbed_s']} s; again: {found['undisturbed_again_differs_in']}"
    )
    for row in found["rows"]:
        print("\n".join(f"  {key:34} {value}" for key, value in row.items()), end="\n\n")


if __name__ == "__main__":
    main()
