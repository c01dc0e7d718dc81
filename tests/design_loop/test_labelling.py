"""Journal and plan of a labelling run, without Ray."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from defects.configuration import Configuration
from defects.datasets import bundled_dataset
from defects.errors import DatasetError, RuleError
from defects.hosts import get_host
from defects.oracles import OracleSpec
from defects.rules import Rules
from design_loop.label_journal import NAME, open_journal
from design_loop.label_plan import candidates, plan
from design_loop.oracle_pool import LabelResult

HOST = get_host("MoS2")
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=3)
TABLE = OracleSpec("table", {"dataset": "xtb-mos2-4x4"}).build()


def some(n: int) -> list[Configuration]:
    return plan(candidates(HOST, RULES, "random", 3), set(), n)


def result(configuration: Configuration, energy: float | None = -1.0) -> LabelResult:
    if energy is None:
        return LabelResult(0, configuration, None, "too bad", "Crash", tries=2)
    return LabelResult(0, configuration, {"energy": energy})


def test_plans_are_repeatable_new_and_without_equivalents() -> None:
    first = some(30)
    assert some(30) == first and some(10) == first[:10]
    assert len({c.key for c in first}) == 30
    known = {c.key for c in first[:20]}
    rest = plan(candidates(HOST, RULES, "random", 3), known, 10)
    assert rest == first[20:]
    image = first[0].transform(HOST.symmetry[9])
    assert plan([first[0], image, first[1]], set()) == first[:2]


def test_enumeration_is_complete_and_starts_with_few_defects() -> None:
    rules = Rules(defects=RULES.defects, max_defects=2)
    found = list(candidates(HOST, rules, "enumerate", 0))
    assert len(found) == 57
    assert [c.n_defects for c in found] == sorted(c.n_defects for c in found)
    shipped = {k for k, r in bundled_dataset("xtb-mos2-4x4").by_key.items()}
    assert plan(found, shipped) == []


def test_random_candidates_end_when_the_rules_are_exhausted() -> None:
    small = get_host("MoS2", "2x2")
    rules = Rules(defects=("V_S",), max_defects=2)
    found = list(candidates(small, rules, "random", 0))
    assert len(found) == len(list(candidates(small, rules, "enumerate", 0)))
    with pytest.raises(RuleError, match="has no Ga"):
        next(candidates(small, Rules(defects=("V_Ga",)), "random", 0))


def test_journal_keeps_results_and_the_last_word_counts(tmp_path: Path) -> None:
    a, b = some(2)
    with open_journal(tmp_path, HOST, TABLE) as journal:
        journal.append(result(a, None))
        journal.append(result(b))
    with open_journal(tmp_path, HOST, TABLE) as journal:
        assert [e["key"] for e in journal.failures()] == [a.key]
        assert journal.failures()[0]["error"] == "too bad" and journal.failures()[0]["tries"] == 2
        journal.append(result(a, -2.0))
        assert journal.failures() == []
    with open_journal(tmp_path, HOST, TABLE) as journal:
        assert [e["properties"]["energy"] for e in journal.labels()] == [-2.0, -1.0]


def test_the_pristine_energy_is_kept_and_no_label(tmp_path: Path) -> None:
    with open_journal(tmp_path, HOST, TABLE) as journal:
        assert journal.pristine is None
        journal.keep_pristine(-296.0, TABLE.version)
        journal.append(result(some(1)[0]))
    with open_journal(tmp_path, HOST, TABLE) as journal:
        assert journal.pristine == -296.0
        assert list(journal.entries) == [some(1)[0].key]
    # The energy of another version does not fit the labels to come.
    path = tmp_path / NAME
    path.write_text(path.read_text().replace(f'-296.0, "version": "{TABLE.version}"',
                                             '-296.0, "version": "older"'))  # fmt: skip
    with open_journal(tmp_path, HOST, TABLE) as journal:
        assert journal.pristine is None and len(journal.labels()) == 1


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    with open_journal(tmp_path, HOST, TABLE) as journal:
        for configuration in some(4):
            journal.append(result(configuration))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-cut])
    with open_journal(tmp_path, HOST, TABLE) as journal:
        assert len(journal.labels()) == 3
        journal.append(result(some(4)[3]))
    lines = path.read_text().splitlines()
    assert len(lines) == 5 and all(json.loads(line) for line in lines)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with open_journal(tmp_path, HOST, TABLE) as journal:
        journal.append(result(some(1)[0]))
    path = tmp_path / NAME
    path.write_text(path.read_text() + "{broken\n")
    with (
        pytest.raises(DatasetError, match="line 3 is damaged"),
        open_journal(tmp_path, HOST, TABLE),
    ):
        pass


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    with open_journal(tmp_path, HOST, TABLE):
        pass
    with (
        pytest.raises(DatasetError, match="labels of another oracle"),
        open_journal(tmp_path, HOST, OracleSpec("xtb").build()),
    ):
        pass
    with (
        pytest.raises(DatasetError, match="labels of another host"),
        open_journal(tmp_path, get_host("MoS2", "5x5"), TABLE),
    ):
        pass
    thinner = HOST.unit_frac_coords / [1, 1, 2]
    wide = replace(HOST, unit_lattice=HOST.unit_lattice * [[1], [1], [2]], unit_frac_coords=thinner)
    with (
        pytest.raises(DatasetError, match="labels of another cell"),
        open_journal(tmp_path, wide, TABLE),
    ):
        pass


def test_two_runs_into_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path, HOST, TABLE),
        pytest.raises(DatasetError, match="another process"),
        open_journal(tmp_path, HOST, TABLE),
    ):
        pass


def test_a_full_disk_keeps_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = some(2)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_journal(tmp_path, HOST, TABLE) as journal:
        journal.append(result(a))
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(DatasetError, match=r"No space left.*the 1 labels in it are safe"):
                journal.append(result(b))
    with open_journal(tmp_path, HOST, TABLE) as journal:
        assert [e["key"] for e in journal.labels()] == [a.key]


def test_importing_the_modules_starts_nothing_heavy() -> None:
    code = (
        "import sys, design_loop.labelling, design_loop.oracle_pool\n"
        "print([m for m in ('ray', 'torch', 'pymatgen', 'tblite', 'ase') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
