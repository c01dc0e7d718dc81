"""Figures of a comparison: spreads, curves, files."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser

import pytest

from defects.errors import ConfigError
from design_loop.compare.arms import ARMS, arm_config
from design_loop.compare.outcome import Call, Outcome
from design_loop.compare.page import build_page, mean_curve
from design_loop.compare.tables import Spread, compare_table, summarise, write_csv, write_json
from design_loop.config import load_preset, parse_campaign


@pytest.fixture(scope="module")
def config():
    return load_preset("quickstart", check=False)


def _outcome(arm, seed, errors, known=()):
    calls = tuple(
        Call(i + 1, 2.0 * (i + 1), e == 0, i not in known, e) for i, e in enumerate(errors)
    )
    return Outcome(arm, seed, f"{arm}-{seed}", 40, 44, 1, 30.0, calls)


OUTCOMES = [
    _outcome("random", 0, [0.2, 0.0, 0.1]),
    _outcome("random", 1, [0.3, 0.3, 0.3]),
    _outcome("nearest", 0, [0.0, 0.1, 0.0], known=(0, 1, 2)),
]


def test_hits_of_the_dataset_are_no_discoveries():
    rows = {row.arm: row for row in summarise(OUTCOMES)}
    assert (rows["random"].hits.mean, rows["random"].hits.low, rows["random"].hits.high) == (
        0.5,
        0,
        1,
    )
    assert rows["nearest"].hits.high == 0
    assert rows["nearest"].known_hits.mean == 2
    assert rows["random"].best_error.mean == pytest.approx(0.15)
    assert rows["random"].calls.mean == 4  # the one that failed has cost a call, too


def test_spreads_in_words():
    assert Spread.of([1, 2, 6]).text() == "3.0 [1, 6]"
    assert Spread.of([0.1234, 0.2]).text(3) == "0.162 [0.123, 0.200]"
    assert Spread.of([]) is None


def test_a_mean_curve_waits_for_all_runs_and_keeps_the_last_value_of_each():
    long, short = [(1.0, 0.0), (2.0, 1.0), (4.0, 3.0)], [(2.0, 1.0)]
    assert mean_curve([long, short]) == [(2.0, 1.0, 1.0, 1.0), (4.0, 2.0, 1.0, 3.0)]
    assert mean_curve([]) == []


def test_files_hold_every_call_and_the_table(tmp_path, config):
    write_csv(OUTCOMES, config, tmp_path / "c.csv")
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert len(rows) == 9
    assert [r["hits"] for r in rows[:3]] == ["0", "1", "1"]
    assert [float(r["best_error"]) for r in rows[:3]] == [0.2, 0.0, 0.0]
    write_json(OUTCOMES, config, tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["task"]["name"] == "quickstart"
    assert [a["arm"] for a in content["arms"]] == ["random", "nearest"]
    assert compare_table(OUTCOMES, config).row_count == 2


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.fetched += [v for k, v in attributes if k in ("src", "href")]


def test_the_page_needs_nothing_else(config):
    page = build_page([*OUTCOMES, _outcome("<b>", 0, [0.1])], config)
    parser = _Links()
    parser.feed(page)
    assert not parser.fetched
    assert "script" not in parser.tags
    assert "<b>" not in page.replace("<b></b>", "")
    assert parser.tags.count("polyline") == 3 * 4
    assert "random: 0.5 [0, 1]" in page


def test_a_page_without_labels_says_so(config):
    assert "no labels yet" in build_page([_outcome("random", 0, [])], config)


def test_arms_differ_in_nothing_but_the_proposer(config):
    seen = set()
    for arm in ARMS:
        made = arm_config(config, arm, 2)
        seen.add(made.content_hash)
        own = ("name", "proposer", "seed", "learn")
        left = {k: v for k, v in made.model_dump().items() if k not in own}
        assert left == {k: v for k, v in config.model_dump().items() if k not in own}
        assert made.learn.model_dump() == config.learn.model_dump() | {"last_round": False}
        assert made.seed == config.seed + 2
        assert parse_campaign(made.to_yaml()) == made
    assert len(seen) == len(ARMS)
    assert arm_config(config, "llm-frozen", 0).proposer.feedback is False
    with pytest.raises(ConfigError, match="did you mean 'genetic'"):
        arm_config(config, "genetics", 0)


def test_settings_of_the_task_hold_for_the_arm_of_its_kind(config):
    own = arm_config(config, "genetic", 0).model_dump(mode="json")
    own["proposer"] = {"kind": "genetic", "population": 99}
    task = type(config).model_validate(own)
    assert arm_config(task, "genetic", 0).proposer.population == 99
    assert arm_config(task, "random", 0).proposer.kind == "random"
