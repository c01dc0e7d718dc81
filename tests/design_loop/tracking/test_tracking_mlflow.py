"""MLflow for real: a database, and a server over HTTP that comes late."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from fake_campaign import FakeCampaign

from design_loop.config import TrackingConfig
from design_loop.ledger import CampaignState, Ledger
from design_loop.progress import SilentProgress
from design_loop.tracking import Tracker, track_campaign

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.slow


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def _runs(uri, experiment="defects"):
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], max_results=100)
    return client, {run.data.tags["mlflow.runName"]: run for run in runs}


def _check(uri, campaign, hits):
    client, runs = _runs(uri)
    assert set(runs) == {campaign, "preparation", "round 1", "round 2", "round 3"}
    whole = runs[campaign]
    for name, run in runs.items():
        parent = run.data.tags.get("mlflow.parentRunId")
        assert parent == (None if name == campaign else whole.info.run_id)
        assert run.info.status == "FINISHED"
    assert whole.data.params["generation.samples"] == "192"
    assert whole.data.metrics["total_hits"] == sum(hits)
    curve = client.get_metric_history(whole.info.run_id, "hits")
    assert [(m.step, m.value) for m in sorted(curve, key=lambda m: m.step)] == [
        (n, hits[n - 1]) for n in (1, 2, 3)
    ]
    assert runs["round 2"].data.metrics["hits"] == hits[1]
    return client, whole


def test_a_campaign_that_goes_on_goes_on_in_the_same_runs(tmp_path, ledger, monkeypatch):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    settings = TrackingConfig(kind="mlflow", uri=uri, experiment="defects")
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(2)
    first, told = track_campaign(ledger, campaign.id, settings)
    assert told == 4
    campaign._round(3)
    ledger.set_campaign_state(campaign.id, CampaignState.DONE)
    second, told = track_campaign(ledger, campaign.id, settings)
    assert second == first
    assert told == 2  # the third round, and the campaign's own run
    assert track_campaign(ledger, campaign.id, settings, files=False) == (first, 0)
    client, _ = _check(uri, campaign.id, _hits(ledger, campaign.id))
    assert {f.path for f in client.list_artifacts(first)} == {
        "campaign.yaml", "candidates", "report.html",
    }  # fmt: skip
    assert list((tmp_path / "mlflow-artifacts").rglob("report.html"))
    # A run that somebody deleted is made anew; what a killed process had made is found by its tags.
    client.delete_run(first)
    other, _ = track_campaign(ledger, campaign.id, settings.model_copy(update={"experiment": "b"}))
    assert other != first
    with Ledger(tmp_path / "forgets.sqlite") as forgetful:
        monkeypatch.setattr(ledger, "tracking_runs", forgetful.tracking_runs)
        again, _ = track_campaign(
            ledger, campaign.id, settings.model_copy(update={"experiment": "b"}), files=False
        )
    assert again == other


def _hits(ledger, campaign):
    from design_loop.summary import summarise_campaign

    return [r.hits for r in summarise_campaign(ledger, campaign).rounds[1:]]


class _Heard(SilentProgress):
    def __init__(self):
        super().__init__()
        self.told = []

    def message(self, level, text):
        self.told.append(level)


@pytest.mark.timeout(240)
def test_a_server_that_comes_late_is_caught_up_with(tmp_path, ledger):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    campaign, heard = FakeCampaign(ledger, tmp_path), _Heard()
    settings = TrackingConfig(kind="mlflow", uri=uri, experiment="defects")
    tracker = Tracker(ledger, campaign.id, settings, heard)
    campaign.run(1)
    tracker.update()
    assert heard.told == ["warning"]
    with _Server(port, tmp_path):
        campaign._round(2)
        tracker.update()
        assert heard.told == ["warning", "info"]
        campaign._round(3)
        ledger.set_campaign_state(campaign.id, CampaignState.DONE)
        tracker.update()
        assert heard.told == ["warning", "info"]
        client, whole = _check(uri, campaign.id, _hits(ledger, campaign.id))
        got = client.download_artifacts(whole.info.run_id, "report.html", str(tmp_path))
        assert campaign.id in Path(got).read_text()


class _Server:
    """MLflow's own server, in a process of its own."""

    def __init__(self, port: int, folder: Path) -> None:
        self._address = f"http://127.0.0.1:{port}/health"
        self._command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db",
            "--artifacts-destination", str(folder / "artifacts"),
        ]  # fmt: skip
        self._log = folder / "server.log"

    def __enter__(self) -> None:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(300):
            try:
                with urllib.request.urlopen(self._address, timeout=1):
                    return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.3)
        self.__exit__()
        raise AssertionError(self._log.read_text()[-2000:])

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)  # the server and the workers that it started
        self._process.wait(20)
