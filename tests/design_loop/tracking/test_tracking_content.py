"""What a tracking server would be told, and that one that is away stops nothing."""

from __future__ import annotations

import json

import pytest
from fake_campaign import FakeCampaign

from design_loop.config import CampaignFileError, TrackingConfig, parse_campaign
from design_loop.config.loading import preset_path
from design_loop.ledger import CampaignState, Ledger
from design_loop.ledger.tracking import WHOLE, TrackingRun
from design_loop.progress import SilentProgress
from design_loop.summary import summarise_campaign
from design_loop.tracking import Tracker
from design_loop.tracking.content import flat, read_campaign
from design_loop.tracking.mlflow_runs import without_password


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_the_figures_are_those_of_the_ledger(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path).run()
    found = read_campaign(ledger, campaign)
    summary = summarise_campaign(ledger, campaign)
    assert sorted(found.rounds) == [0, 1, 2, 3]
    for each in summary.rounds[1:]:
        metrics = found.rounds[each.number].metrics
        assert metrics["hits"] == each.hits
        assert metrics["new"] == each.funnel.candidates
        repeats = sum(n for r, n in each.funnel.drops.items() if r.startswith("duplicate_in"))
        assert metrics["valid_share"] == (each.funnel.candidates + repeats) / 40
        assert metrics["seconds.verify"] == pytest.approx(each.seconds["verify"])
    assert found.whole.metrics["total_hits"] == summary.hits
    assert found.whole.status == "FINISHED"
    assert found.whole.params["generation.samples"] == "192"
    assert json.loads(found.whole.params["rules.defects"])[0] == "V_Mo"
    assert found.ended


def test_the_same_ledger_tells_the_same_and_a_new_round_something_new(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(1)
    first = read_campaign(ledger, campaign.id)
    assert first.whole.status == "RUNNING"
    assert read_campaign(ledger, campaign.id).whole.digest == first.whole.digest
    campaign._round(2)
    second = read_campaign(ledger, campaign.id)
    assert second.rounds[1].digest == first.rounds[1].digest
    assert second.whole.digest != first.whole.digest
    ledger.set_campaign_state(campaign.id, CampaignState.STOPPED, "stopped by the user")
    assert read_campaign(ledger, campaign.id).whole.status == "KILLED"


def test_runs_are_remembered_per_server_and_experiment(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path).run(0)
    ledger.remember_tracking(campaign, "http://a", "x", WHOLE, TrackingRun("1", None))
    ledger.remember_tracking(campaign, "http://a", "x", WHOLE, TrackingRun("1", "digest"))
    ledger.remember_tracking(campaign, "http://a", "x", 1, TrackingRun("2", None))
    ledger.remember_tracking(campaign, "http://b", "x", WHOLE, TrackingRun("3", None))
    assert ledger.tracking_runs(campaign, "http://a", "x") == {
        WHOLE: TrackingRun("1", "digest"),
        1: TrackingRun("2", None),
    }
    assert ledger.tracking_runs(campaign, "http://a", "y") == {}


class _Heard(SilentProgress):
    def __init__(self):
        super().__init__()
        self.told = []

    def message(self, level, text):
        self.told.append((level, text))


def test_a_server_that_is_away_is_said_once_and_stops_nothing(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path).run(1)
    settings = TrackingConfig(kind="mlflow", uri="http://127.0.0.1:9", timeout_s=2)
    heard = _Heard()
    tracker = Tracker(ledger, campaign, settings, heard)
    tracker.update()
    tracker.update()
    [(level, text)] = heard.told
    assert level == "warning"
    assert "campaign track" in text
    [event] = [e for e in ledger.events(campaign) if "tracking" in e.message]
    assert event.level == "warning"
    Tracker(ledger, campaign, TrackingConfig(), heard).update()
    assert len(heard.told) == 1


def test_a_password_is_neither_shown_nor_kept():
    assert without_password("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert without_password("sqlite:////tmp/a@b.db") == "sqlite:////tmp/a@b.db"


def test_long_and_nested_settings_become_short_words():
    found = flat({"a": {"b": [1, 2], "c": {}}, "d": "x" * 9999, "e": None})
    assert found == {"a.b": "[1, 2]", "a.c": "{}", "d": "x" * 500, "e": "None"}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{kind: mlflow, uri: ./mlruns}", "sqlite:////PATH/mlflow.db"),
        ("{uri: http://localhost:5000}", "write kind: mlflow"),
        ("{kind: mlflow, server: http://localhost:5000}", "unknown key"),
    ],
)
def test_an_address_that_cannot_work_is_refused_before_anything_starts(section, said):
    text = preset_path("quickstart").read_text() + f"\ntracking: {section}\n"
    with pytest.raises(CampaignFileError, match=said):
        parse_campaign(text)
