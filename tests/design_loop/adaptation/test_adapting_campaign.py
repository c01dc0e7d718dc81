"""Whole campaigns whose stand-in model answers by its settings, or repeats itself."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from design_loop.adaptation import plan_round
from design_loop.adaptation.told import settings_tables
from design_loop.campaign import driver
from design_loop.campaign.context import Context, load_data
from design_loop.campaign.control import Control
from design_loop.config import load_campaign
from design_loop.ledger import CampaignState, Ledger
from design_loop.progress import SilentProgress
from design_loop.summary import summarise_campaign
from serve.client import Completion
from tests.design_loop.campaign.quick_services import QuickServices, write_campaign

pytestmark = pytest.mark.slow


class Model(QuickServices):
    """Breaks all answers above temperature 1.2; `asked` keeps what it was asked with."""

    asked: list[tuple[str, float]]

    def sample(self, prompts, adapter, **sampling):
        if sampling["n"] == 1:  # the probe whether new weights have arrived
            return [[Completion("S1", "stop", 1, -float(sum(map(ord, adapter or ""))))]]
        self.asked.append((adapter, sampling["temperature"]))
        found = super().sample(prompts, adapter, **sampling)
        if sampling["temperature"] > 1.2:
            found = [[Completion("S1", "stop", 1, -1.0) for _ in row] for row in found]
        return found


class NarrowingModel(Model):
    """An adapter trained on from one that was trained on itself knows two crystals."""

    def sample(self, prompts, adapter, **sampling):
        whole = self._pool
        if self._generation(adapter) >= 3:
            self._pool = whole[:2]
        try:
            return super().sample(prompts, adapter, **sampling)
        finally:
            self._pool = whole

    def fine_tune(self, spec, resources, on_progress):
        before = spec.parent and spec.parent.name
        spec.facts["generation"] = 1 + self._generation(before)
        return super().fine_tune(spec, resources, on_progress)

    def _generation(self, adapter):
        if adapter is None:
            return 0
        manifest = self.folder / "adapters" / adapter / "manifest.json"
        return json.loads(manifest.read_text())["generation"]


def _run(folder: Path, model: type[Model], changes: dict[str, str]):
    path = write_campaign(folder)
    text = path.read_text()
    changes |= {"iterations: 10": "iterations: 2"}
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    asked: list[tuple[str, float]] = []

    def services(config, campaign, tell):
        made = model(campaign, config)
        made.asked = asked
        return made

    config = load_campaign(path)
    store = str(folder / "runs" / "ledger.sqlite")
    summary = driver.start(config, folder / "runs", store, SilentProgress(), services)
    return config, summary.campaign.id, Ledger(store, create=False), asked


def _info(ledger, campaign, number, name):
    [step] = [s for s in ledger.steps(campaign, number) if s.name == name]
    return step.info


def test_settings_are_recorded_with_every_sample_and_asked_again_after_a_kill(tmp_path):
    config, campaign, ledger, asked = _run(
        tmp_path,
        Model,
        {"per_prompt: 4": "per_prompt: 2, adapt: {enabled: true, arms: 3, temperature: [0.8, 2]}"},
    )
    with ledger:
        assert ledger.campaign(campaign).state is CampaignState.DONE
        told = {}
        for number in (1, 2):
            info = _info(ledger, campaign, number, "generate")
            assert len(info["arms"]) == 3
            assert info["arms"][0]["temperature"] == 1.0
            assert info["arms"][0]["shares"] == {}
            samples = ledger.samples(campaign, number)
            counts = Counter(s.sample.arm for s in samples)
            assert set(counts) == {0, 1, 2}
            # With a table it samples on until enough is new; cut short, all settings are.
            assert abs(counts[1] - len(samples) / 2) <= 4
            assert abs(counts[0] - counts[2]) <= 4
            # A sample's arm is the setting that it was really asked with, times a batch's heat.
            batches = info.get("batches") or [{"samples": len(samples), "temperatures": None}]
            asked_in = [batch for batch in batches for _ in range(batch["samples"])]
            usual = [a["temperature"] for a in info["arms"]]
            in_order = sorted(samples, key=lambda s: s.sample.index)
            for s, batch in zip(in_order, asked_in, strict=True):
                temperature = (batch["temperatures"] or usual)[s.sample.arm]
                assert (s.sample.text == "S1") == (temperature > 1.2)
            told[number] = info["arms_told"]["earlier"]
        assert told == {1: 0, 2: 3}
        assert len({temperature for _, temperature in asked}) >= 3
        # The second round asks the same again, however often it is run: from the ledger alone.
        context = Context(
            campaign,
            config,
            ledger,
            tmp_path,
            SilentProgress(),
            SimpleNamespace(),
            load_data(config),
            Control(ledger, campaign, config),
        )
        plan = plan_round(context, 2)
        assert [a.to_dict() for a in plan.arms] == _info(ledger, campaign, 2, "generate")["arms"]
        first, second = settings_tables(ledger, summarise_campaign(ledger, campaign))
        assert first.row_count == 6
        assert [*first.columns[1].cells] == ["configured", "1", "2"] * 2
        assert second.row_count == 2
        shares = plan.arms[1].shares["homo_lumo_gap"]
        assert len(shares) == 3
        assert sum(shares) == pytest.approx(1)
        assert min(shares) >= config.generation.adapt.explore / 3


def test_a_model_that_repeats_itself_is_noticed_and_answered(tmp_path):
    _, campaign, ledger, asked = _run(
        tmp_path,
        NarrowingModel,
        {"rounds: 2": "rounds: 5", "distil: 30": "start_from: previous, near_weight: 1, distil: 0"},
    )
    with ledger:
        assert len(ledger.rounds(campaign)) == 6
        found = {n: _info(ledger, campaign, n, "check")["diversity"] for n in range(1, 6)}
        collapsed = [n for n in found if found[n]["collapsed"]]
        assert collapsed == [3]
        assert found[3]["unique"] < 0.2 < found[2]["unique"]
        assert [found[n]["heat"] for n in range(1, 6)] == [0, 0, 1, 0, 0]
        [event] = [e for e in ledger.events(campaign) if "diversity" in e.message]
        assert (event.round, event.level) == (3, "warning")
        assert "made anew from the base" in event.message
        generations = [a.manifest["generation"] for a in ledger.adapters(campaign)]
        assert generations == [1, 2, 3, 1, 2, 3]
        restarted = [_info(ledger, campaign, n, "learn")["restarted"] for n in range(1, 6)]
        assert restarted == [False, False, True, False, False]
        # The first batch's: where a table is the oracle, further ones are hotter by themselves.
        temperatures = {int(name[1:4]): t for name, t in reversed(asked)}
        assert temperatures[3] == temperatures[5] == 1.0
        assert temperatures[4] == pytest.approx(1.0 + 0.25 * (1.6 - 1.0))
        folder = tmp_path / "runs" / campaign / "instructions"
        extra = {n: _largest_weight(folder / f"r{n:03d}.jsonl") for n in (2, 3, 4)}
        assert extra == {2: 4.0, 3: 2.5, 4: 4.0}


def _largest_weight(path: Path) -> float:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return max(float(row.get("weight", 1.0)) for row in rows)
