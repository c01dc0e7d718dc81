"""The pool of oracle calls and whole labelling runs, with a real Ray."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from defects.configuration import Configuration
from defects.datasets import bundled_dataset, check_dataset, read_dataset
from defects.errors import DatasetError, OracleError
from defects.hosts import get_host
from defects.oracles import OracleSpec
from defects.rules import Rules
from design_loop.label_journal import NAME
from design_loop.labelling import LabelProgress, label_dataset
from design_loop.oracle_pool import (
    LabelResult,
    PoolLimits,
    label_batch,
    label_stream,
    with_pristine,
)

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
HOST = get_host("MoS2", "2x2")
LIMITS = PoolLimits(max_in_flight=3, timeout_s=20, retries=1)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A private Ray whose workers find this folder's calculators."""
    import ray

    folder = tempfile.mkdtemp(prefix="op-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        root = HERE.parents[1]
        patch.setenv("PYTHONPATH", os.pathsep.join([str(root), str(HERE)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.syspath_prepend(str(HERE))
        ray.init(
            address="local",
            num_cpus=4,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def moody(tmp_path: Path, **arguments) -> OracleSpec:
    arguments = {"log": str(tmp_path / "calls.log"), **arguments}
    return OracleSpec("ase", {"calculator": "pool_calculators:Moody", "arguments": arguments})


def with_element(element: str, site: int = 5) -> Configuration:
    return Configuration.from_changes(HOST, {site: element})


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls.log").read_text().splitlines()


def test_every_fate_is_a_result(ray_here: None, tmp_path: Path) -> None:
    batch = [with_element(e) for e in ("VAC", "Te", "O", "F", "Cl", "Se", "P")]
    good: list[LabelResult] = []
    bad: list[LabelResult] = []
    # Not less: a process that starts on a busy machine imports for seconds.
    limits = PoolLimits(max_in_flight=3, timeout_s=15, retries=1)
    assert label_batch(moody(tmp_path), batch, good.append, bad.append, limits) == (4, 3)
    labels = {r.index: r for r in good}
    assert sorted(labels) == [0, 4, 5, 6]
    assert labels[0].labels == {"energy": -4 * 42 - 7 * 16, "energy_per_atom": -(168 + 112) / 11}
    assert labels[0].tries == 1 and labels[4].tries == 2  # Cl failed once
    failed = {r.index: r for r in bad}
    assert failed[1].error_type == "Crash" and failed[1].tries == 2
    assert failed[2].error_type == "Timeout" and "timeout of 15 s" in failed[2].error
    # No second try of what cannot converge.
    assert failed[3].error_type == "NotConvergedError" and failed[3].tries == 1
    assert "SCFError" in failed[3].traceback
    # Killed for good: nobody sleeps on.
    hung = [int(x.split()[1]) for x in calls(tmp_path) if x.startswith("Mo4OS7")]
    assert len(hung) == 2
    deadline = time.time() + 60
    while time.time() < deadline and any(_alive(pid) for pid in hung):
        time.sleep(0.2)
    assert not any(_alive(pid) for pid in hung)


def test_a_killed_worker_a_full_memory_and_nan_are_told_apart(
    ray_here: None, tmp_path: Path
) -> None:
    bad: list[LabelResult] = []
    batch = [with_element(e) for e in ("I", "Br", "N")]
    limits = PoolLimits(max_in_flight=3, timeout_s=60, retries=1)
    assert label_batch(moody(tmp_path), batch, print, bad.append, limits) == (0, 3)
    failed = {r.index: r for r in bad}
    kinds = {i: (r.error_type, r.tries, r.permanent) for i, r in failed.items()}
    assert kinds == {
        0: ("Crash", 2, False),
        1: ("OutOfMemory", 2, False),
        2: ("NotConvergedError", 1, True),
    }
    assert "out of memory: Unable to allocate" in failed[1].error
    assert "pool_calculators.py" in failed[1].traceback
    assert "no finite number" in failed[2].error


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_calls_in_flight_are_bounded_and_threads_follow_the_cpus(
    ray_here: None, tmp_path: Path
) -> None:
    batch = [Configuration.from_changes(HOST, {4: "VAC", s: "Se"}) for s in range(5, 11)]
    limits = PoolLimits(max_in_flight=2, cpus_per_call=2)
    start = time.monotonic()
    results = list(label_stream(moody(tmp_path, seconds=1.0), batch, limits))
    assert time.monotonic() - start >= 3
    assert sorted(r.index for r in results) == list(range(6)) and all(r.ok for r in results)
    assert {line.split()[2] for line in calls(tmp_path)} == {"2"}
    assert len({line.split()[1] for line in calls(tmp_path)}) <= 2


def test_closing_the_stream_kills_what_is_in_flight(ray_here: None, tmp_path: Path) -> None:
    stream = label_stream(moody(tmp_path), [with_element("Se"), with_element("O")], LIMITS)
    assert next(stream).index == 0
    while len(calls(tmp_path)) < 2:
        time.sleep(0.1)
    stream.close()
    pid = next(int(x.split()[1]) for x in calls(tmp_path) if x.startswith("Mo4OS7"))
    deadline = time.time() + 60
    while time.time() < deadline and _alive(pid):
        time.sleep(0.2)
    assert not _alive(pid)


def test_pristine_energy_is_computed_once(ray_here: None, tmp_path: Path) -> None:
    spec = moody(tmp_path)
    spec = OracleSpec("ase", {**spec.settings, "chemical_potentials": {"S": -10.0, "Se": -30.0}})
    batch = [with_element("Se", s) for s in range(4, 12)]
    results = list(label_stream(spec, batch, LIMITS))
    assert all(r.labels["formation_energy"] == -34 + 16 - 10 + 30 for r in results)
    assert sum(line.startswith("Mo4S8 ") for line in calls(tmp_path)) == 1
    known = with_pristine(spec, HOST, LIMITS)
    assert known.settings["pristine_energies"] == {HOST.key: -4 * 42 - 8 * 16}
    assert with_pristine(known, HOST, LIMITS) is known


def test_an_oracle_that_cannot_work_at_all_is_refused_at_once(ray_here: None) -> None:
    spec = OracleSpec("ase", {"calculator": "no_such_code:Calc"})
    with pytest.raises(OracleError, match="cannot be imported"):
        next(label_stream(spec, [with_element("Se")]))


def test_label_dataset_extends_resumes_and_records_failures(ray_here: None, tmp_path: Path) -> None:
    shipped = bundled_dataset("xtb-mos2-4x4")
    host, rules = shipped.host, Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=2)
    spec = OracleSpec("table", {"dataset": "xtb-mos2-4x4"})
    out = tmp_path / "out"
    seen: list[LabelProgress] = []
    first = label_dataset(
        host, spec, out, rules=rules, n=20, sampling="enumerate", limits=LIMITS,
        on_progress=seen.append,
    )  # fmt: skip
    assert (first.structures, first.labelled, first.failed) == (20, 20, 0)
    assert [(p.done, p.total) for p in seen] == [(i, 20) for i in range(21)]
    assert check_dataset(out) == []
    again = label_dataset(host, spec, out, rules=rules, n=20, sampling="enumerate", limits=LIMITS)
    assert (again.structures, again.labelled) == (20, 0)
    rest = label_dataset(host, spec, out, rules=rules, sampling="enumerate", limits=LIMITS)
    assert (rest.structures, rest.labelled) == (57, 37)
    dataset = read_dataset(out)
    assert dataset.pristine["energy"] == shipped.pristine["energy"]
    for key, record in dataset.by_key.items():
        assert record.properties == shipped.by_key[key].properties
    unknown = [Configuration.from_changes(host, dict.fromkeys(range(7), "VAC"))]
    failed = label_dataset(host, spec, out, configurations=unknown, limits=LIMITS)
    assert (failed.structures, failed.labelled, failed.failed) == (57, 0, 1)
    assert "not in table" in failed.failures[unknown[0].key]
    idle = label_dataset(host, spec, out, configurations=unknown, limits=LIMITS)
    assert idle.failed == 0 and len(idle.failures) == 1
    tried = label_dataset(host, spec, out, configurations=unknown, limits=LIMITS, retry_failed=True)
    assert tried.failed == 1


def test_label_dataset_computes_the_pristine_energy_once(ray_here: None, tmp_path: Path) -> None:
    """A run that ended before its tables were written leaves it in the journal."""
    spec = moody(tmp_path)
    spec = OracleSpec("ase", {**spec.settings, "chemical_potentials": {"S": -10.0, "Se": -30.0}})
    first, second = [with_element("Se", 5)], [with_element("VAC", 5)]

    def stop(progress: LabelProgress) -> None:
        raise RuntimeError("killed")

    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="killed"):
        label_dataset(HOST, spec, out, configurations=first, limits=LIMITS, on_progress=stop)
    for configurations in (first, second):
        label_dataset(HOST, spec, out, configurations=configurations, limits=LIMITS)
    assert [line.split()[0] for line in calls(tmp_path)] == ["Mo4S8", "Mo4S7Se", "Mo4S7"]
    dataset = read_dataset(out)
    assert dataset.pristine["energy"] == -4 * 42 - 8 * 16
    assert {r.properties["formation_energy"] for r in dataset} == {-34 + 16 - 10 + 30, 16 - 10}


def test_exclude_and_foreign_folders(ray_here: None, tmp_path: Path) -> None:
    shipped = bundled_dataset("xtb-mos2-4x4")
    rules = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=2)
    none = label_dataset(
        shipped.host, OracleSpec("table", {"dataset": "xtb-mos2-4x4"}), tmp_path / "a",
        rules=rules, sampling="enumerate", exclude=[shipped], limits=LIMITS,
    )  # fmt: skip
    assert none.structures == 0 and not (tmp_path / "a/defects.csv.gz").exists()
    from defects.datasets import write_dataset

    write_dataset(shipped, tmp_path / "b")
    spec = OracleSpec("xtb", {"chemical_potentials": {"S": -99.0}})
    with pytest.raises(DatasetError, match="another chemical potential of S"):
        label_dataset(shipped.host, spec, tmp_path / "b", rules=rules, n=1000)
    with pytest.raises(DatasetError, match="say how many"):
        label_dataset(shipped.host, spec, tmp_path / "c", rules=rules)


SCRIPT = """
import sys
from defects.hosts import get_host
from defects.oracles import OracleSpec
from defects.rules import Rules
from design_loop.labelling import label_dataset
from design_loop.oracle_pool import PoolLimits

log, out = sys.argv[1:]
spec = OracleSpec("ase", {"calculator": "pool_calculators:Moody",
                          "arguments": {"log": log, "seconds": 0.4}})
run = label_dataset(get_host("MoS2", "2x2"), spec, out, n=12, seed=5,
                    rules=Rules(defects=("V_S", "Se_S", "W_Mo")),
                    limits=PoolLimits(max_in_flight=2))
print(run.structures, run.labelled)
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, blow: signal.Signals) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "calls.log"), str(tmp_path / "out")]
    journal = tmp_path / "out" / NAME
    run = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.time() + 120
    while time.time() < deadline and run.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= 5:
            break
        time.sleep(0.05)
    assert run.poll() is None, run.stderr.read().decode()[-2000:]
    run.send_signal(blow)
    assert run.wait(60) != 0
    kept = [
        json.loads(line)["key"] for line in journal.read_text().splitlines()[1:] if line[-1:] == "}"
    ]
    assert 4 <= len(kept) < 12
    if blow == signal.SIGINT:
        assert len(read_dataset(tmp_path / "out")) == len(kept)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.split() == ["12", str(12 - len(kept))]
    assert len(read_dataset(tmp_path / "out").by_key) == 12
    # At most what was in flight was computed twice.
    assert len(calls(tmp_path)) <= 12 + 2
    keys = [json.loads(line)["key"] for line in journal.read_text().splitlines()[1:]]
    assert max(Counter(keys).values()) == 1


def test_a_call_has_its_environment_and_brings_back_what_it_found(
    ray_here: None, tmp_path: Path
) -> None:
    """Variables are set before libraries are loaded, and a relaxed structure comes back."""
    limits = PoolLimits(
        max_in_flight=1,
        memory_gib=0.1,
        environment={"OMP_NUM_THREADS": "3", "HOW_TO_RUN": "srun"},
        timeout_s=120,
    )
    relaxed = OracleSpec(
        "ase",
        {
            "calculator": "ase.calculators.lj:LennardJones",
            "arguments": {"sigma": 2.0, "rc": 5.0},
            "relax": {"fmax": 0.5, "steps": 300, "fixed_elements": ["Mo"]},
            "functions": {"threads": "pool_calculators:threads"},
        },
    )
    [found] = list(label_stream(relaxed, [with_element("VAC")], limits))
    assert found.labels is not None, found.error
    assert found.labels["threads"] == 3
    assert found.details["relaxed"]["fmax"] <= 0.5
    assert len(found.details["relaxed"]["positions"]) == 11
