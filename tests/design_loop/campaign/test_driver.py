"""The driver: a whole campaign, kill -9 in each step, and adapters that never arrived."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest

from defects.errors import ConfigError, ModelError
from design_loop.campaign import driver
from design_loop.config import load_campaign
from design_loop.doctor import examine
from design_loop.ledger import CampaignState, Ledger, Source, StepState
from design_loop.progress import SilentProgress
from design_loop.ray_alive import RayDiedError
from serve.failures import UnavailableError
from tests.design_loop.campaign.quick_services import QuickServices, write_campaign
from tests.design_loop.campaign.steered_driver import write_steered
from tests.design_loop.ledger.postgres_schemas import POSTGRES, empty_schema

STEPS = ("generate", "check", "predict", "select", "verify", "learn")


def _run(folder: Path, *arguments: str) -> int:
    command = [sys.executable, "-m", "tests.design_loop.campaign.quick_services", str(folder)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode


def _final(folder: Path, store: str = "") -> dict:
    with Ledger(store or folder / "runs" / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
        return {
            "state": campaign.state,
            "steps": [(s.round, s.name, str(s.state)) for s in ledger.steps(campaign.id)],
            "labels": {
                label.candidate: dict(label.properties)
                for label in ledger.labels(campaign.id, Source.ORACLE)
            },
            "funnel": ledger.funnel(campaign.id),
            "adapters": [a.name for a in ledger.adapters(campaign.id)],
        }


@pytest.fixture(params=["sqlite", POSTGRES])
def store(request):
    """Address of a ledger that is not in the campaign's folder; empty for the one that is."""
    if request.param == "sqlite":
        yield ""
        return
    with empty_schema(f"test_{uuid.uuid4().hex[:12]}") as address:
        yield address


@pytest.mark.slow
@pytest.mark.timeout(900)  # nine processes
def test_kill_in_every_step_then_resume(tmp_path, store):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        write_campaign(folder)
    assert _run(whole, "start") == 0  # in a file, whatever the killed one is in

    assert _run(killed, "start", STEPS[0], store) == -signal.SIGKILL
    for step in (*STEPS[1:4], "verify:2", *STEPS[4:]):
        assert _run(killed, "quick", step, store) == -signal.SIGKILL
    assert _run(killed, "quick", "", store) == 0

    after, expected = _final(killed, store), _final(whole)
    assert after["state"] is CampaignState.DONE
    # The same campaign as if nothing had happened: same labels, same drops, same adapters.
    assert after["labels"] == expected["labels"]
    assert after["funnel"] == expected["funnel"]
    assert after["steps"] == expected["steps"]
    assert len(after["adapters"]) == 3
    # Nothing labelled was computed twice.
    calls = Counter((killed / "runs").glob("**/oracle_calls.log"))
    [log] = calls
    computed = Counter(log.read_text().split())
    assert set(computed.values()) == {1}
    assert set(computed) >= set(after["labels"])


def _start(folder: Path, **settings):
    def services(config, campaign, tell):
        made = QuickServices(campaign, config)
        for name, value in settings.items():
            setattr(made, name, value)
        return made

    config = load_campaign(folder / "campaign.yaml")
    store = str(folder / "runs" / "ledger.sqlite")
    return driver.start(config, folder / "runs", store, SilentProgress(), services)


@pytest.mark.slow
def test_an_adapter_that_never_reached_the_engine_stops_the_campaign(tmp_path):
    write_campaign(tmp_path)
    original = QuickServices.sample

    def frozen(self, prompts, adapter, **sampling):
        return original(self, prompts, None, **sampling)

    QuickServices.sample = frozen
    try:
        with pytest.raises(ModelError, match="did not reach the engine"):
            _start(tmp_path)
    finally:
        QuickServices.sample = original
    with Ledger(tmp_path / "runs" / "ledger.sqlite", create=False) as ledger:
        assert ledger.campaigns()[0].state is CampaignState.FAILED


@pytest.mark.slow
def test_every_drop_has_its_reason_and_the_loop_learns_from_labels(tmp_path):
    write_campaign(tmp_path)
    summary = _start(tmp_path)
    funnel = summary.funnel
    # With a table as oracle, what is known already is no proposal: others are sampled for it.
    known = sum(n for reason, n in funnel.drops.items() if reason.startswith("duplicate"))
    assert funnel.samples == funnel.checked == 80 + known
    assert sum(funnel.drops.values()) + funnel.candidates == funnel.samples
    assert {"unknown_site", "truncated", "duplicate_in_training"} <= set(funnel.drops)
    assert funnel.verified == len(summary.candidates) > 0
    with Ledger(tmp_path / "runs" / "ledger.sqlite", create=False) as ledger:
        campaign = ledger.campaigns()[0].id
        learnt = [a.manifest["n_verified"] for a in ledger.adapters(campaign)]
        labels = {s.round: s.manifest["n_labels"] for s in ledger.surrogates(campaign)}
        by_adapter = {r.number: r.adapter for r in ledger.rounds(campaign)}
        for number in (1, 2):
            made = {s.sample.adapter for s in ledger.samples(campaign, number)}
            assert made == {by_adapter[number]}
    assert learnt[0] == 0 < learnt[1] < learnt[2] == funnel.verified
    assert labels[2] == 100 + funnel.verified
    assert len(set(by_adapter.values())) == 3  # round 0 has none


def test_a_dataset_of_another_supercell_is_refused_before_anything_starts(tmp_path):
    path = write_campaign(tmp_path)
    path.write_text(path.read_text().replace("supercell: 4x4", "supercell: 5x5"))
    with pytest.raises(ConfigError, match="5x5"):
        _start(tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deaths", "kept", "error", "in_a_row", "state"),
    [
        (2, 0, RayDiedError, [1, 2], "done"),
        (99, 0, UnavailableError, [1, 2, 3, 4, 5], "failed"),
        # More than it bears in a row, but with a label kept in between: weeks do not add up.
        (99, 1, UnavailableError, [1] * 8, "done"),
    ],
)
def test_services_that_die_are_started_anew_but_not_for_ever(
    tmp_path, monkeypatch, deaths, kept, error, in_a_row, state
):
    write_campaign(tmp_path)
    monkeypatch.setattr(driver, "FIRST_PAUSE_S", 0.01)
    started: list[Path] = []

    class Dying(QuickServices):
        dead = False

        def label(self, oracle, configurations, on_result, on_failure, limits):
            if len(started) > deaths:
                return super().label(oracle, configurations, on_result, on_failure, limits)
            super().label(oracle, configurations[:kept], on_result, on_failure, limits)
            self.dead = True
            raise error("it died: its process was killed; go on\nand on")

        def close(self):
            super().close()
            if self.dead:
                raise RuntimeError("what is dead cannot be taken down")

    def services(config, campaign, tell):
        started.append(campaign)
        return Dying(campaign, config)

    config = load_campaign(tmp_path / "campaign.yaml")
    store = tmp_path / "runs" / "ledger.sqlite"
    try:
        driver.start(config, tmp_path / "runs", str(store), SilentProgress(), services)
    except error:
        assert state == "failed"
    assert len(started) == len(in_a_row) + 1
    with Ledger(store, create=False) as ledger:
        [campaign] = ledger.campaigns()
        assert campaign.state == state
        told = [e.message for e in ledger.events(campaign.id) if "starting anew" in e.message]
        assert told == [
            f"it died: its process was killed; starting anew in {pause:g} s ({n} of 5)"
            for n in in_a_row
            for pause in [0.01 * 2 ** (n - 1)]
        ]
        labels = ledger.labels(campaign.id, Source.ORACLE)
    calls = [log.read_text().split() for log in (tmp_path / "runs").glob("**/oracle_calls.log")]
    assert sum(map(len, calls)) == len(labels), "what was kept is not computed again"


@pytest.mark.slow
def test_ctrl_c_leaves_a_campaign_in_order(tmp_path, monkeypatch):
    """It stands still as after a stop that was asked for: the doctor has nothing to say of it."""
    write_steered(tmp_path)
    label = QuickServices.label

    def interrupted(self, oracle, configurations, *rest):
        label(self, oracle, configurations[:2], *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(QuickServices, "label", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _start(tmp_path)
    with Ledger(tmp_path / "runs" / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
        assert (campaign.state, campaign.error) == (CampaignState.STOPPED, "stopped by the user")
        verify = next(s for s in ledger.steps(campaign.id, 1) if s.name == "verify")
        assert (verify.state, len(ledger.labels(campaign.id))) == (StepState.PENDING, 2)
        checks = {f.check for f in examine(ledger, campaign.id).findings}
    assert not checks & {"lease", "claims", "steps"}
