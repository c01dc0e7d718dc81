"""``design-loop campaign``, with a campaign that needs no models."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
import types

import pytest
from fake_campaign import FakeCampaign

from defects.errors import ModelError
from defects.hosts import get_host
from defects.structures import from_structure, read_structure
from design_loop.config import load_preset
from design_loop.ledger import Ledger
from design_loop.summary import summarise_campaign


@pytest.fixture
def driver(monkeypatch):
    """Puts a fake driver in place of the real one; returns what it was called with."""
    calls = []

    def run_campaign(config, workdir, store_url, progress):
        calls.append(("run", config.name, workdir, store_url))
        with Ledger(store_url) as ledger:
            campaign = FakeCampaign(ledger, workdir, progress, config=config).run()
            return summarise_campaign(ledger, campaign)

    def resume_campaign(campaign, workdir, store_url, progress):
        calls.append(("resume", campaign, workdir, store_url))
        with Ledger(store_url) as ledger:
            return summarise_campaign(ledger, campaign)

    module = types.ModuleType("design_loop.campaign")
    module.run_campaign = run_campaign
    module.resume_campaign = resume_campaign
    monkeypatch.setitem(sys.modules, "design_loop.campaign", module)
    return calls


def test_run_takes_a_preset_and_leaves_everything(cli, driver, tmp_path):
    done = cli("campaign", "run", "quickstart", "--workdir", tmp_path / "runs")
    assert done.code == 0, done.err
    assert driver == [
        ("run", "quickstart", tmp_path / "runs", str(tmp_path / "runs" / "ledger.sqlite"))
    ]
    assert "Verified candidates, best 10 of 15" in done.out
    assert "round 3/3 learn: done" in done.err
    [folder] = [p for p in (tmp_path / "runs").iterdir() if p.is_dir()]
    assert (folder / "report.html").is_file()
    assert len(list((folder / "candidates").glob("*.cif"))) == 15
    # No progress bar and no colours where nobody looks.
    assert "\x1b" not in done.out + done.err


def test_another_proposer_changes_nothing_else(cli, driver, tmp_path):
    """An extension of it begins with models that saw the last round, as without the option."""
    done = cli("campaign", "run", "quickstart", "--proposer", "tpe", "--workdir", tmp_path)
    assert done.code == 0, done.err
    with Ledger(tmp_path / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
    made, file = (
        dict(campaign.config),
        load_preset("quickstart", check=False).model_dump(mode="json"),
    )
    assert (made.pop("name"), made.pop("proposer")["kind"]) == ("quickstart-tpe", "tpe")
    del file["name"], file["proposer"]
    assert made == file
    assert made["learn"]["last_round"]


def test_run_takes_a_file_before_a_preset_of_that_name(cli, driver, tmp_path, monkeypatch):
    from design_loop.config import preset_path

    monkeypatch.chdir(tmp_path)
    text = preset_path("quickstart").read_text().replace("name: quickstart", "name: mine")
    (tmp_path / "quickstart").write_text(text)
    assert cli("campaign", "run", "quickstart").code == 0
    assert driver[0][1] == "mine"


def test_a_bad_file_is_refused_before_anything_starts(cli, driver, tmp_path):
    bad = tmp_path / "campaign.yaml"
    bad.write_text("name: x\nhosst: {name: MoS2}\n")
    done = cli("campaign", "run", bad, "--workdir", tmp_path / "runs")
    assert done.code == 2
    assert f"{bad}:2: hosst: unknown key; did you mean 'host'?" in done.err
    assert driver == []
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_file_that_is_not_there(cli, driver, tmp_path, command):
    done = cli("campaign", command, "nowhere.yaml", "--workdir", tmp_path)
    assert done.code == 2
    assert "shipped campaigns are" in done.err
    assert "quickstart" in done.err


def test_resume_takes_the_beginning_of_an_id(cli, driver, played):
    workdir, name = played
    done = cli("campaign", "resume", name[:-2], "--workdir", workdir)
    assert done.code == 0, done.err
    assert driver[0][:2] == ("resume", name)


def test_resume_of_something_unknown(cli, driver, played):
    done = cli("campaign", "resume", "nope", "--workdir", played[0])
    assert (done.code, driver) == (1, [])
    assert "no such campaign" in done.err
    assert "Traceback" not in done.err


def test_an_error_says_how_to_go_on(cli, driver, tmp_path, monkeypatch):
    def fail(config, workdir, store_url, progress):
        progress.campaign_started("quickstart-1", config)
        raise ModelError("adapter gone: train it again")

    monkeypatch.setattr(sys.modules["design_loop.campaign"], "run_campaign", fail)
    done = cli("campaign", "run", "quickstart", "--workdir", tmp_path / "here")
    assert done.code == 1
    error, advice = done.err.strip().splitlines()[-2:]
    assert error == "design-loop: adapter gone: train it again"
    assert advice.endswith(
        f"design-loop campaign resume quickstart-1 --workdir {tmp_path / 'here'}"
    )


def test_a_full_disk_is_an_error_of_one_line(cli, driver, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device", "adapters/r001")

    monkeypatch.setattr(sys.modules["design_loop.campaign"], "run_campaign", fail)
    done = cli("campaign", "run", "quickstart", "--workdir", tmp_path)
    assert done.code == 1
    assert done.err.strip().splitlines()[-1] == (
        "design-loop: adapters/r001: No space left on device"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_with_130_and_the_command_to_go_on(root, tmp_path, number):
    code = (
        "import sys, types, time\n"
        "def run(config, workdir, store_url, progress):\n"
        "    progress.campaign_started('quick-1', config)\n"
        "    time.sleep(30)\n"
        "module = types.ModuleType('design_loop.campaign')\n"
        "module.run_campaign = run\n"
        "sys.modules['design_loop.campaign'] = module\n"
        "sys.argv = ['design-loop', 'campaign', 'run', 'quickstart', '--workdir', sys.argv[1]]\n"
        "from design_loop.cli import main\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, text=True, stderr=subprocess.PIPE
    )
    for line in process.stderr:
        if "campaign quick-1" in line:
            break
    time.sleep(0.2)
    process.send_signal(number)
    text = process.stderr.read()
    assert process.wait(20) == 130
    assert f"Go on with: design-loop campaign resume quick-1 --workdir {tmp_path}" in text
    assert "Traceback" not in text


def test_show_the_pareto_front(cli, played):
    workdir, name = played
    words = ("campaign", "show", name, "--workdir", workdir, "--pareto")
    front = json.loads(cli(*words, "--format", "json").out)
    on = [p for p in front["points"] if p["front"]]
    assert {p["key"] for p in on} == set(front["rounds"][-1]["front"])
    shown = cli(*words).out
    assert f"Pareto front, {len(on)} of {len(front['points'])} labelled candidates" in shown
    assert "Growth of the front" in shown


def test_list_and_show_as_tables(cli, played):
    workdir, name = played
    assert name in cli("campaign", "list", "--workdir", workdir).out
    shown = cli("campaign", "show", name, "--workdir", workdir, "--top", 3, "--details").out
    assert "homo_lumo_gap in 0.6..0.9" in shown
    assert "duplicate_in_training" in shown
    assert "best 3 of 15" in shown
    assert "generate" in shown


def test_list_and_show_as_json(cli, played):
    workdir, name = played
    [listed] = cli("campaign", "list", "--workdir", workdir, "--format", "json").json
    assert listed["id"] == name
    assert listed["state"] == "done"
    shown = cli("campaign", "show", name, "--workdir", workdir, "--format", "json").json
    assert len(shown["rounds"]) == 4
    assert shown["funnel"]["samples"] == 120
    assert sum(shown["funnel"]["drops"].values()) + shown["funnel"]["candidates"] == 120
    first = shown["candidates"][0]
    assert first["meets_targets"] is True
    assert first["properties"]["homo_lumo_gap"] <= 0.9


def test_the_folder_can_come_from_the_environment(cli, played, monkeypatch):
    workdir, name = played
    monkeypatch.setenv("DESIGN_LOOP_WORKDIR", str(workdir))
    assert name in cli("campaign", "list").out
    monkeypatch.delenv("DESIGN_LOOP_WORKDIR")
    monkeypatch.setenv("DESIGN_LOOP_STORE", str(workdir / "ledger.sqlite"))
    assert name in cli("campaign", "list").out


def test_without_a_ledger_nothing_is_made(cli, tmp_path):
    done = cli("campaign", "list", "--workdir", tmp_path / "empty")
    assert done.code == 1
    assert "no ledger here" in done.err
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("fmt", ["cif", "poscar", "extxyz"])
def test_export_writes_structures_that_are_the_candidates(cli, played, tmp_path, fmt):
    workdir, name = played
    out = tmp_path / "out"
    done = cli("campaign", "export", name, "--workdir", workdir, "--format", fmt, "--out", out,
               "--top", 4)  # fmt: skip
    assert done.code == 0, done.err
    with (out / "candidates.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    for row in rows:
        path = out / row["file"]
        if fmt == "extxyz":
            from ase.io import read
            from pymatgen.io.ase import AseAtomsAdaptor

            structure = AseAtomsAdaptor.get_structure(read(path))
        else:
            structure = read_structure(path)
        assert from_structure(structure, get_host("MoS2", "4x4")).key == row["_id"]
    assert len(list(out.iterdir())) == 5


def test_export_as_data(cli, played, tmp_path):
    workdir, name = played
    words = ("campaign", "export", name, "--workdir", workdir, "--out", tmp_path / "out")
    assert cli(*words, "--format", "json").code == 0
    content = json.loads((tmp_path / "out" / "candidates.json").read_text())
    assert len(content["candidates"]) == 15
    assert content["candidates"][0]["structure"]["@class"] == "Structure"
    assert cli(*words, "--format", "csv", "--hits").code == 0
    with (tmp_path / "out" / "candidates.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(row["meets_targets"] == "true" for row in rows)
    assert float(rows[0]["homo_lumo_gap_std"]) == 0.08


def test_export_refuses_what_only_vasp_reads(cli, played, tmp_path):
    workdir, name = played
    words = ("campaign", "export", name, "--workdir", workdir, "--out", tmp_path / "out")
    for option in (("--relax",), ("--k-spacing", 0.3), ("--incar", "ENCUT=500")):
        done = cli(*words, "--format", "cif", *option)
        assert (done.code, f"{option[0]} goes with --format vasp" in done.err) == (2, True)
    meshes = {}
    for spacing in ((), ("--k-spacing", 0.3), ("--k-spacing", 0.1)):
        assert cli(*words, "--format", "vasp", "--top", 1, *spacing).code == 0
        meshes[spacing] = (tmp_path / "out" / "pristine" / "KPOINTS").read_text()
    first, same, finer = meshes.values()
    assert first == same != finer


def test_export_into_a_place_that_cannot_be_written(cli, played, tmp_path):
    workdir, name = played
    (tmp_path / "file").write_text("")
    done = cli("campaign", "export", name, "--workdir", workdir, "--format", "csv", "--out",
               tmp_path / "file")  # fmt: skip
    assert done.code == 1
    assert f"cannot write to {tmp_path / 'file'}" in done.err


def test_report(cli, played, tmp_path):
    workdir, name = played
    out = tmp_path / "sub" / "report.html"
    done = cli("campaign", "report", name, "--workdir", workdir, "--out", out)
    assert done.code == 0, done.err
    assert name in out.read_text()
