"""Figures of a comparison: spreads, curves, files."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser

import pytest
from fake_campaign import FakeCampaign

from defects.errors import ConfigError
from design_loop.compare.arms import ARMS, arm_config
from design_loop.compare.outcome import Call, Outcome, read_outcome
from design_loop.compare.page import build_page, mean_curve
from design_loop.compare.tables import (
    Spread,
    compare_table,
    mean_interval,
    rows_and_headings,
    summarise,
    write_arms_csv,
    write_csv,
    write_json,
)
from design_loop.config import load_preset, parse_campaign
from design_loop.ledger import Ledger


@pytest.fixture(scope="module")
def config():
    return load_preset("quickstart", check=False)


def _outcome(arm, seed, errors, known=()):
    calls = tuple(
        Call(i + 1, 2.0 * (i + 1), 1.5, e == 0, i not in known, e) for i, e in enumerate(errors)
    )
    return Outcome(arm, seed, f"{arm}-{seed}", 90, 40, 44, 1, 30.0, 24.0, calls)


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


def test_intervals_are_student_t_over_seeds_and_never_negative():
    # From a table: 4.30265 at 2 degrees of freedom. The variance of 14, 18, 13 is 7.
    low, high = mean_interval([14, 18, 13])
    assert (low, high) == pytest.approx(
        (15 - 4.30265 * (7 / 3) ** 0.5, 15 + 4.30265 * (7 / 3) ** 0.5)
    )
    assert mean_interval([0, 1])[0] == 0
    assert mean_interval([0, 1])[1] == pytest.approx(0.5 + 12.7062 * 0.5, rel=1e-4)
    assert mean_interval([3]) is None


def test_hits_are_shown_relative_to_random_only_where_that_arm_is_there(config):
    more = [*OUTCOMES, _outcome("tpe", 0, [0.0, 0.0, 0.1])]
    rows = {row.arm: row for row in summarise(more)}
    assert rows["tpe"].times_random == 4
    assert rows["random"].times_random == 1
    names, [first, *_] = rows_and_headings(more, config)
    shown = dict(zip(names, first, strict=True))
    assert shown["hits / random"] == "1.00"
    assert shown["95 % interval"] == "0.0 to 6.9"
    assert (shown["samples"], shown["new valid proposals"]) == ("90", "40")
    names, [only] = rows_and_headings(more[-1:], config)
    assert "hits / random" not in names
    assert len(only) == len(names)
    assert dict(zip(names, only, strict=True))["95 % interval"] == "-"
    misses = [_outcome("random", 0, [0.1]), more[-1]]
    assert [row.times_random for row in summarise(misses)] == [None, None]  # nothing to divide by


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
    random, nearest = content["arms"]
    assert random["hits_interval"][0] == 0
    assert nearest["hits_interval"] is None
    assert (content["runs"][0]["samples"], content["runs"][0]["proposals"]) == (90, 40)
    assert compare_table(OUTCOMES, config).row_count == 2
    write_arms_csv([*OUTCOMES, _outcome("tpe", 0, [])], tmp_path / "arms.csv")
    arms = {row["arm"]: row for row in csv.DictReader((tmp_path / "arms.csv").open())}
    assert arms["random"]["hits_mean"] == "0.5"
    assert float(arms["random"]["hits_interval_high"]) == pytest.approx(6.853, abs=1e-3)
    assert arms["nearest"]["hits_interval_high"] == ""
    assert arms["tpe"]["best_error_mean"] == ""
    assert arms["tpe"]["samples_high"] == "90"


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.fetched += [v for k, v in attributes if k in ("src", "href")]


@pytest.mark.parametrize("errors", [[-0.2, -0.3], [0.1, -0.3], [0.0, 0.0], [0.2, 0.1]])
def test_errors_better_than_a_goals_reference_are_inside_the_drawing(config, errors):
    page = build_page([_outcome("genetic", 0, errors)], config)
    [curve] = re.findall(
        r'aria-label="best error[^"]*oracle calls".*?<polyline[^>]*="([^"]*)"', page
    )
    heights = [float(place.split(",")[1]) for place in curve.split()]
    assert all(0 < y <= 320 - 44 for y in heights)
    # Down is better: the last is lowest, and only equal errors are drawn at one height.
    assert (heights[-1] > heights[0]) == (errors[1] < errors[0])


def test_the_page_needs_nothing_else(config):
    page = build_page([*OUTCOMES, _outcome("<b>", 0, [0.1])], config)
    parser = _Links()
    parser.feed(page)
    assert not parser.fetched
    assert "script" not in parser.tags
    assert "<b>" not in page.replace("<b></b>", "")
    assert parser.tags.count("polyline") == 3 * 4
    assert "random: 0.5 [0, 1]" in page
    assert "0.0 to 6.9" in page
    assert "hits / random" in page


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


def test_answers_and_what_is_new_among_them_are_told_apart(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path).run()
        found = read_outcome(ledger, campaign, "llm", 0, known=())
        drops = sum(ledger.funnel(campaign).drops.values())
    assert found.samples == 120
    assert found.proposals == 120 - drops
    assert 0 < drops < 120


def test_settings_of_the_task_hold_for_the_arm_of_its_kind(config):
    own = arm_config(config, "genetic", 0).model_dump(mode="json")
    own["proposer"] = {"kind": "genetic", "population": 99}
    task = type(config).model_validate(own)
    assert arm_config(task, "genetic", 0).proposer.population == 99
    assert arm_config(task, "random", 0).proposer.kind == "random"
