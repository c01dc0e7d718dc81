"""Make or extend a labelled dataset: configurations × oracle, spread over Ray, resumable.

The output folder is a dataset in the 2DMD layout plus ``journal.jsonl``. Every label is in the
journal, on disk, as soon as it arrives; the tables are written from it at the end and on Ctrl-C.
The same command again goes on where the last run stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defects.configuration import Configuration
from defects.datasets import Dataset, Record, read_dataset, write_dataset
from defects.datasets.tables import find
from defects.errors import DatasetError, DesignLoopError
from defects.hosts import Host
from defects.oracles import Oracle, OracleSpec
from defects.rules import Rules
from design_loop.label_journal import Journal, open_journal
from design_loop.label_plan import Sampling, candidates, plan
from design_loop.oracle_pool import (
    LabelResult,
    PoolLimits,
    compute_pristine,
    label_stream,
    needs_pristine,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelRun:
    """What a labelling run did.

    Attributes
    ----------
    path : Path
        The dataset.
    structures : int
        Labelled structures in it now.
    labelled, failed : int
        New in this run.
    failures : dict
        Message of every failure in the journal, by class key.
    seconds : float
    """

    path: Path
    structures: int
    labelled: int
    failed: int
    failures: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class LabelProgress:
    """State of a run after a result: how many of how many, and the result itself."""

    done: int
    total: int
    failed: int
    last: LabelResult | None


def label_dataset(
    host: Host,
    oracle: OracleSpec,
    out_dir: str | Path,
    *,
    rules: Rules | None = None,
    n: int | None = None,
    configurations: Iterable[Configuration] | None = None,
    sampling: Sampling = "random",
    seed: int = 0,
    exclude: Iterable[Dataset] = (),
    retry_failed: bool = False,
    limits: PoolLimits | None = None,
    on_progress: Callable[[LabelProgress], None] | None = None,
) -> LabelRun:
    """Label configurations into a dataset.

    Parameters
    ----------
    host : Host
    oracle : OracleSpec
    out_dir : str or Path
        New, or with labels of the same host and oracle, which are kept and extended.
    rules : Rules
        What to draw configurations from; not needed with `configurations`.
    n : int, optional
        How many configurations the folder shall hold in the end, failed ones included: the same
        command repeated after a kill does what was left. All there are when None (with
        ``sampling="enumerate"`` or `configurations`).
    configurations : iterable of Configuration, optional
        Label these instead of drawing.
    sampling : str
        ``random`` or ``enumerate`` (every class under symmetry, few defects first).
    seed : int
    exclude : iterable of Dataset
        Classes in them are left out.
    retry_failed : bool
        Try again what failed in an earlier run.
    limits : PoolLimits, optional
    on_progress : callable, optional
        Called once before the first and after every result.

    Raises
    ------
    DatasetError
        When the folder holds labels of something else, is in use, or the disk is full.
    OracleError, ConfigError, RuleError
        When oracle or rules cannot work at all. A configuration that fails is recorded only.
    """
    start = time.monotonic()
    folder = Path(out_dir)
    built = oracle.build()
    if configurations is None:
        if rules is None or (n is None and sampling == "random"):
            raise DatasetError("say how many random configurations to label (n) and by which rules")
        configurations = candidates(host, rules, sampling, seed)
    with open_journal(folder, host, built) as journal:
        before = _existing(folder, host, built)
        in_tables = before.by_key.keys() if before else set()
        held = journal.entries.keys() | in_tables
        known = held.union(*(data.by_key for data in exclude))
        todo = plan(configurations, known, None if n is None else max(0, n - len(held)))
        if retry_failed:
            todo = [_configuration(host, entry) for entry in journal.failures()] + todo
        try:
            with _ray():
                if todo or before is None:
                    oracle = _with_pristine(oracle, host, journal, limits)
                labelled, failed = _label(oracle, todo, journal, limits, on_progress)
        except (KeyboardInterrupt, DesignLoopError):
            try:
                _write(host, oracle, journal, before, folder)
            except DatasetError as error:  # a full disk: must not hide what happened first
                logger.error("the tables were not brought up to date: %s", error)
            raise
        structures = _write(host, oracle, journal, before, folder)
        failures = {e["key"]: e["error"] for e in journal.failures()}
    return LabelRun(folder, structures, labelled, failed, failures, time.monotonic() - start)


@contextmanager
def _ray() -> Iterator[None]:
    """The Ray that runs, or one of our own for as long as it takes."""
    import ray

    from serve.cluster import ensure_ray

    started = ensure_ray()
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def _with_pristine(
    oracle: OracleSpec, host: Host, journal: Journal, limits: PoolLimits | None
) -> OracleSpec:
    """The same oracle, knowing the pristine energy where it needs it; computed once per folder."""
    if not needs_pristine(oracle, host):
        return oracle
    energy = journal.pristine
    if energy is None:
        labels = compute_pristine(oracle, host, limits).labels
        assert labels is not None
        energy = labels["energy"]
        journal.keep_pristine(energy, oracle.build().version)
    return oracle.with_pristine(host.key, energy)


def _label(
    oracle: OracleSpec,
    todo: list[Configuration],
    journal: Journal,
    limits: PoolLimits | None,
    on_progress: Callable[[LabelProgress], None] | None,
) -> tuple[int, int]:
    """Label, record every result before anything else, and count successes and failures."""
    counts = [0, 0]

    def report(last: LabelResult | None) -> None:
        if on_progress is not None:
            on_progress(LabelProgress(sum(counts), len(todo), counts[1], last))

    report(None)
    if todo:
        with closing(label_stream(oracle, todo, limits)) as results:
            for result in results:
                journal.append(result)
                counts[0 if result.ok else 1] += 1
                report(result)
    return counts[0], counts[1]


def _configuration(host: Host, entry: dict[str, Any]) -> Configuration:
    return Configuration.from_changes(host, {int(s): str(x) for s, x in entry["defects"]})


def _existing(folder: Path, host: Host, oracle: Oracle) -> Dataset | None:
    """The dataset that the folder's tables hold, if its labels are of the same kind."""
    if find(folder, "defects.csv") is None:
        return None
    dataset = read_dataset(folder)
    if dataset.host != host:
        raise DatasetError(f"{folder} holds {dataset.host.key}, not {host.key}; use another folder")
    mine = oracle.chemical_potentials(host)
    for element, value in dataset.chemical_potentials.items():
        if abs(mine.get(element, value) - value) > 1e-3:
            raise DatasetError(
                f"{folder} holds labels with another chemical potential of {element} ({value:g}, "
                f"this oracle: {mine[element]:g}); use another folder"
            )
    return dataset


def _write(
    host: Host, oracle: OracleSpec, journal: Journal, before: Dataset | None, folder: Path
) -> int:
    """Write the tables from what they held before and the journal; the number of structures."""
    built = oracle.build()
    old = before.by_key if before else {}
    new = (
        Record(f"{built.name}-{e['key'][:12]}", _configuration(host, e), e["properties"])
        for e in journal.labels()
        if e["key"] not in old
    )
    records = (*(before or ()), *new)
    if not records:
        return 0
    potentials = built.chemical_potentials(host)
    pristine: dict[str, Any] = before.pristine if before else {}
    if not pristine and built.knows_pristine(host):
        energy = built.pristine_energy(host)
        pristine = {} if energy is None else {"supercell": list(host.supercell), "energy": energy}
    if before is not None:
        potentials = before.chemical_potentials | potentials
    write_dataset(Dataset(host, records, potentials, pristine, str(folder)), folder)
    return len(records)
