"""Campaigns whose oracle has stages, whose labels come from outside, with properties of their own.

Tables stand for the calculations, searching proposers for the language model: real driver, ledger,
surrogate and files, in seconds.
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from defects.datasets import bundled_dataset, write_dataset
from design_loop import steering
from design_loop.campaign import driver
from design_loop.campaign.stages import StageBook
from design_loop.config import load_campaign
from design_loop.export import export_candidates, waiting_candidates
from design_loop.imports import import_labels
from design_loop.ledger import CampaignState, Ledger, Source
from design_loop.overview import overview
from design_loop.progress import SilentProgress
from design_loop.summary import summarise_campaign

pytestmark = pytest.mark.slow
SHIFT = 0.25
FILE = """\
name: stages
seed: 5
host: {{name: MoS2, supercell: 4x4}}
rules: {{defects: [V_Mo, V_S, W_Mo, Se_S], max_defects: 6}}
targets:
  - {{property: homo_lumo_gap, min: 0.8, max: 1.2}}
rounds: {rounds}
dataset: {folder}/known
proposer: {{kind: random}}
generation: {{samples: 16}}
surrogate: {{kind: trees, iterations: 5, folds: 3}}
selection: {{budget: 4}}
"""
CHEAP = "{{kind: table, settings: {{dataset: {folder}/cheap}}{more}}}"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A tenth of the shipped labels; tables of a cheap method and of one that gives more."""
    folder = tmp_path_factory.mktemp("tables")
    whole = bundled_dataset("xtb-mos2-4x4")
    write_dataset(replace(whole, records=whole.records[:60]), folder / "known")
    cheap = whole.records[60:360]
    write_dataset(replace(whole, records=cheap), folder / "cheap")
    dear = tuple(
        replace(r, properties={"homo_lumo_gap": r.properties["homo_lumo_gap"] + SHIFT})
        for r in cheap
    )
    write_dataset(replace(whole, records=dear), folder / "dear")
    return folder


def campaign_file(data: Path, folder: Path, oracle: str, rounds: int = 2, more: str = "") -> Path:
    path = folder / "campaign.yaml"
    text = FILE.format(folder=data, rounds=rounds) + f"oracle: {oracle}\n{more}"
    path.write_text(text)
    return path


def staged(data: Path, budget: int = 2) -> str:
    dear = f", then: [{{kind: table, budget: {budget}, settings: {{dataset: {data}/dear}}}}]"
    return CHEAP.format(folder=data, more=dear)


def start(path: Path):
    store = str(path.parent / "runs" / "ledger.sqlite")
    return driver.start(load_campaign(path), path.parent / "runs", store, SilentProgress())


def resume(folder: Path):
    store = str(folder / "runs" / "ledger.sqlite")
    return driver.resume("stages", folder / "runs", store, SilentProgress())


def opened(folder: Path) -> Ledger:
    return Ledger(folder / "runs" / "ledger.sqlite", create=False)


def final(folder: Path) -> dict:
    with opened(folder) as ledger:
        [campaign] = ledger.campaigns()
        return {
            "state": campaign.state,
            "labels": {
                (str(label.source), label.candidate): dict(label.properties)
                for label in ledger.labels(campaign.id)
            },
            "stages": [ledger.stage_calls(campaign.id, n, 2) for n in (1, 2)],
            "steps": [(s.round, s.name, str(s.state)) for s in ledger.steps(campaign.id)],
        }


def test_cheap_labels_for_many_dear_ones_for_the_best_of_them(data, tmp_path):
    summary = start(campaign_file(data, tmp_path, staged(data)))
    with opened(tmp_path) as ledger:
        campaign = ledger.campaigns()[0].id
        cheap = {label.candidate: label for label in ledger.labels(campaign, Source.STAGE_1)}
        dear = {label.candidate: label for label in ledger.labels(campaign, Source.ORACLE)}
        calls = [ledger.stage_calls(campaign, n, 2) for n in (1, 2)]
        fitted = {s.round: s.manifest["n_labels"] for s in ledger.surrogates(campaign)}
    assert (len(cheap), len(dear)) == (8, 4)
    assert [len(c) for c in calls] == [2, 2]
    assert {c.candidate for stage in calls for c in stage} == set(dear) < set(cheap)
    for key, label in dear.items():
        before = cheap[key].properties["homo_lumo_gap"]
        assert label.properties["homo_lumo_gap"] == pytest.approx(before + SHIFT, abs=1e-6)
    # In the first round nothing is known of the offset: the best by the cheap label go on.
    target = summary.targets[0]
    first = {k: label for k, label in cheap.items() if label.round == 1}
    order = sorted(first, key=lambda k: target.error(first[k].properties["homo_lumo_gap"]))
    errors = [target.error(first[k].properties["homo_lumo_gap"]) for k in order]
    chosen = [target.error(first[c.candidate].properties["homo_lumo_gap"]) for c in calls[0]]
    assert chosen == errors[:2]
    assert calls[0][0].reason.startswith("by stage 1 (table), place 1 of 4: homo_lumo_gap")
    # Only the dear stage's values are results, and only they teach.
    assert {c.key for c in summary.candidates} == set(dear)
    assert fitted == {0: 60, 1: 62, 2: 64}


def test_a_dear_stage_is_given_more_once_it_was_extended(data, tmp_path):
    start(campaign_file(data, tmp_path, staged(data), rounds=1))
    with Ledger(tmp_path / "runs" / "ledger.sqlite") as ledger:
        name = ledger.campaigns()[0].id
        answer = steering.extend(ledger, name, 1, 3, stage=2)
        assert "4 calls of stage 1, 3 of stage 2" in answer.text
    resume(tmp_path)
    with opened(tmp_path) as ledger:
        cheap, dear = (Counter(x.round for x in ledger.labels(name, source))
                       for source in (Source.STAGE_1, Source.ORACLE))  # fmt: skip
        assert (cheap, dear) == ({1: 4, 2: 4}, {1: 2, 2: 3})
        assert overview(ledger, name).budget == 2 + 3


def test_a_dear_stage_extended_while_the_cheap_one_computes_is_given_more_at_once(
    data, tmp_path, monkeypatch
):
    keep, asked = StageBook.keep, []

    def and_extend(self, call, result) -> None:
        keep(self, call, result)
        if not asked:
            with Ledger(tmp_path / "runs" / "ledger.sqlite") as ledger:
                asked.append(steering.extend(ledger, self.campaign, None, 3, stage=2))

    monkeypatch.setattr(StageBook, "keep", and_extend)
    start(campaign_file(data, tmp_path, staged(data), rounds=1))
    with opened(tmp_path) as ledger:
        name = ledger.campaigns()[0].id
        assert len(ledger.labels(name, Source.ORACLE)) == 3 == overview(ledger, name).budget
        assert ledger.amendments(name)[0].first_round == 1


def test_the_cheap_stage_can_be_the_one_that_teaches(data, tmp_path):
    path = campaign_file(data, tmp_path, staged(data), rounds=1, more="learn: {stage: first}\n")
    summary = start(path)
    with opened(tmp_path) as ledger:
        fitted = {s.round: s.manifest["n_labels"] for s in ledger.surrogates(summary.campaign.id)}
    assert fitted == {0: 60, 1: 64}
    assert len(summary.candidates) == 2  # hits are still the dear stage's


def _die_at(folder: Path, label: int) -> None:
    """Kill this process as it is about to commit its n-th label."""
    keep, count = StageBook.keep, [0]

    def killed(self, call, result) -> None:
        count[0] += 1
        if count[0] == label:
            os.kill(os.getpid(), signal.SIGKILL)
        keep(self, call, result)

    StageBook.keep = killed
    if (folder / "runs").exists():
        resume(folder)
    else:
        start(folder / "campaign.yaml")


@pytest.mark.timeout(600)  # three processes
def test_kill_in_both_stages_then_resume(data, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        campaign_file(data, folder, staged(data))
    start(whole / "campaign.yaml")
    # The third call of the first stage, then (after two more of it) the second of the dear one.
    for label in (3, 4):
        done = subprocess.run(
            [sys.executable, __file__, str(killed), str(label)],
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    resume(killed)
    assert final(killed) == final(whole)
    assert final(whole)["state"] is CampaignState.DONE


EXTERNAL = "{kind: external, settings: {method: 'PBE', properties: [homo_lumo_gap]}}"


def _answer(data: Path, folder: Path, leave: int = 0) -> Path:
    """The people who compute: they take the exported table and fill in a column."""
    table = bundled_dataset("xtb-mos2-4x4").by_key
    with opened(folder) as ledger:
        summary = summarise_campaign(ledger, "stages")
        waiting = waiting_candidates(ledger, summary)
    export_candidates(waiting, "cif", folder / "out")
    with (folder / "out" / "candidates.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    path = folder / "out" / "done.csv"
    with path.open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["_id", "homo_lumo_gap (meV)"])
        for row in rows[: len(rows) - leave]:
            gap = table[row["_id"]].properties["homo_lumo_gap"] if row["_id"] in table else 0.9
            writer.writerow([row["_id"], repr(1000 * gap)])
    return path


def test_a_campaign_waits_for_labels_from_outside_and_goes_on(data, tmp_path):
    summary = start(campaign_file(data, tmp_path, EXTERNAL))
    campaign = summary.campaign.id
    assert summary.campaign.state is CampaignState.WAITING
    assert "waits for 4 labels from outside (PBE)" in summary.campaign.error
    assert f"import-labels {campaign}" in summary.campaign.error
    # Nothing new: it says so again, and no step has failed.
    assert resume(tmp_path).campaign.state is CampaignState.WAITING
    path = _answer(data, tmp_path, leave=1)
    with opened(tmp_path) as ledger:
        assert {s.state for s in ledger.steps(campaign, 1)} == {"done", "pending"}
        report = import_labels(ledger, campaign, path, "dft")
        assert (len(report.recorded), report.waiting) == (3, 1)
        again = import_labels(ledger, campaign, path, "dft")
        assert (len(again.recorded), len(again.unchanged), again.conflicts) == (0, 3, [])
    assert "waits for 1 labels" in resume(tmp_path).campaign.error
    with opened(tmp_path) as ledger:
        report = import_labels(ledger, campaign, path, "dft", give_up_rest=True)
        assert (len(report.given_up), report.waiting) == (1, 0)
    # The second round asks for four more.
    assert "waits for 4 labels" in resume(tmp_path).campaign.error
    with opened(tmp_path) as ledger:
        import_labels(ledger, campaign, _answer(data, tmp_path), "dft")
    done = resume(tmp_path)
    assert done.campaign.state is CampaignState.DONE
    assert len(done.candidates) == 7
    assert {c.origin for c in done.candidates} == {"imported:dft"}
    assert done.funnel.failed == 1
    assert all(0 < c.properties["homo_lumo_gap"] < 3 for c in done.candidates)  # eV by now
    with opened(tmp_path) as ledger:
        fitted = {s.round: s.manifest["n_labels"] for s in ledger.surrogates(campaign)}
    assert fitted == {0: 60, 1: 63, 2: 67}


def test_cheap_labels_here_dear_ones_elsewhere(data, tmp_path):
    external = "[{kind: external, budget: 2, settings: {method: PBE, properties: [homo_lumo_gap]}}]"
    oracle = CHEAP.format(folder=data, more=f", then: {external}")
    summary = start(campaign_file(data, tmp_path, oracle, rounds=1))
    name = summary.campaign.id
    assert "waits for 2 labels" in summary.campaign.error
    assert summary.candidates == ()  # nothing is verified yet
    # What it waits for is chosen: three count from the next round on, also once it went on.
    with Ledger(tmp_path / "runs" / "ledger.sqlite") as ledger:
        steering.extend(ledger, name, 1, 3, stage=2)
        assert overview(ledger, name).budget == 2 + 3
        import_labels(ledger, name, _answer(data, tmp_path), "dft")
    assert "waits for 3 labels" in resume(tmp_path).campaign.error
    with opened(tmp_path) as ledger:
        assert overview(ledger, name).budget == 2 + 3
        assert [len(ledger.stage_calls(name, n, 2)) for n in (1, 2)] == [2, 3]
        import_labels(ledger, name, _answer(data, tmp_path), "dft")
    done = resume(tmp_path)
    assert (done.campaign.state, len(done.candidates)) == (CampaignState.DONE, 2 + 3)


if __name__ == "__main__":
    _die_at(Path(sys.argv[1]), int(sys.argv[2]))
