"""What a comparison shows and writes: tables, curves, files."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from fake_campaign import FakeCampaign
from rich.console import Console
from typer.testing import CliRunner

from defects.errors import ConfigError
from defects.versions import source_hash
from design_loop.cli import app
from design_loop.compare.arms import ARMS, arm_config
from design_loop.compare.code import code_note
from design_loop.compare.files import write_files
from design_loop.compare.outcome import read_outcome
from design_loop.compare.page import build_page, mean_curve
from design_loop.compare.tables import terminal_tables, word_tables
from design_loop.config import load_preset, parse_campaign
from design_loop.ledger import Ledger
from design_loop.ledger.names import CODE
from tests.design_loop.compare.made_up import OUTCOMES, outcome


@pytest.fixture(scope="module")
def config():
    return load_preset("quickstart", check=False)


def _tables(outcomes, config, call_hours=1.0):
    return {found.title: found for found in word_tables(outcomes, config, call_hours)}


def _row(found, first):
    [row] = [row for row in found.rows if row[0] == first]
    return dict(zip(found.columns, row, strict=True))


def test_every_mean_has_its_interval_or_says_that_one_seed_has_none(config):
    more = [*OUTCOMES, outcome("tpe", 0, [0.0, 0.0, 0.1]), outcome("tpe", 1, [0.0, 0.0, 0.0])]
    budget = config.rounds * config.selection.budget
    found, spent, times, dear, apart = _tables(more, config).values()
    shown = _row(found, "random")
    assert shown["verified hits"] == "0.5 (0.0–6.9)"
    assert shown["each seed"] == "1, 0"
    assert shown["hits / random"] == "1.00"
    assert _row(found, "tpe")["hits / random"] == "5.00"
    assert f"of {budget} oracle calls" in found.note
    assert _row(spent, "random")["samples"] == "90 (=)"
    assert _row(spent, "nearest")["new valid proposals"] == "40 (n=1)"
    assert _row(apart, "tpe - random")["difference"] == "+2.0 (-10.7 to +14.7)"
    assert _row(apart, "tpe - random")["each seed"] == "+1, +3"
    assert _row(apart, "nearest - random")["difference"] == "-1.0 (n=1)"
    assert "if an oracle call took 1 h" in dear.title
    figures = [
        cell
        for table in (found, spent, times, dear, apart)
        for row in table.rows
        for name, cell in zip(table.columns[2:], row[2:], strict=True)
        if name not in ("each seed", "hits / random")
    ]
    assert len(figures) > 40
    assert all(re.search(r"\((=|n=1|.+(–| to ).+)\)$", cell) for cell in figures), figures


def test_hits_at_equal_time_say_whose_time_it_is(config):
    found = _tables(OUTCOMES, config)["Verified hits at equal wall time"]
    assert found.columns == ("proposer", "seeds", "half of random's, 4 s", "random ends, 8 s")
    assert _row(found, "random")["half of random's, 4 s"] == "0.5 (0.0–4.0)"
    assert _row(found, "nearest")["random ends, 8 s"] == "0.0 (n=1)"
    assert len(_tables(OUTCOMES, config, 0)) == len(_tables(OUTCOMES, config)) - 1


def test_columns_that_would_say_nothing_are_left_out(config):
    lone = [outcome("tpe", 0, [0.0, 0.1])]
    found, *_, last = _tables(lone, config).values()
    assert "hits / random" not in found.columns
    assert "known hits" not in found.columns
    assert last.title.startswith("Verified hits")  # nothing to be set against
    assert "known hits" in next(iter(_tables(OUTCOMES, config).values())).columns
    partly = [outcome("tpe", i, e) for i, e in enumerate([[0.2], [0.2], []])]
    assert _row(next(iter(_tables(partly, config).values())), "tpe")["best error (eV)"] == (
        "0.200 (=) n=2"
    )


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_gets_whole_numbers_in_whatever_width(config, width):
    made = [outcome(arm, seed, [0.0, 0.1, 0.0]) for arm in ("random", "random-wide", "llm-frozen")
            for seed in range(3)]  # fmt: skip
    made.append(outcome("llm-frozen", 3, [0.0, 0.0, 0.0]))
    console = Console(width=width, file=io.StringIO())
    for found in terminal_tables(made, config, 1.0, width):
        console.print(found)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for table in word_tables(made, config, 1.0):
        for row in table.rows:
            for cell in row:
                assert all(part in text for part in cell.split(" (")), cell
    assert "…" not in text


def test_a_mean_curve_waits_for_all_runs_and_keeps_the_last_value_of_each():
    long, short = [(1.0, 0.0), (2.0, 1.0), (4.0, 3.0)], [(2.0, 1.0)]
    assert mean_curve([long, short]) == [(2.0, 1.0, 1.0, 1.0), (4.0, 2.0, 1.0, 3.0)]
    assert mean_curve([]) == []


def test_files_hold_every_call_and_the_tables(tmp_path, config):
    more = [*OUTCOMES, outcome("tpe", 0, [float("inf")]), outcome("tpe", 1, [])]
    write_files(more, config, 1.0, tmp_path)

    def read(name):
        return list(csv.DictReader((tmp_path / name).open()))

    rows = read("compare.csv")
    assert len(rows) == 10
    assert [r["hits"] for r in rows[:3]] == ["0", "1", "1"]
    assert [float(r["best_error"]) for r in rows[:3]] == [0.2, 0.0, 0.0]
    assert (rows[0]["seconds"], rows[0]["own_seconds"]) == ("2.0", "0.75")
    arms = {row["arm"]: row for row in read("arms.csv")}
    assert arms["random"]["hits_mean"] == "0.5"
    assert float(arms["random"]["hits_interval_high"]) == pytest.approx(6.853, abs=1e-3)
    assert arms["nearest"]["hits_interval_high"] == ""
    assert (arms["tpe"]["best_error_mean"], arms["tpe"]["best_error_n"]) == ("", "")
    assert arms["tpe"]["samples_high"] == "90"
    times = read("times.csv")
    assert {r["call_hours"] for r in times} == {"", "1.0"}
    last = [
        r for r in times if not r["call_hours"] and r["of_arm"] == "random" and r["half"] == "0"
    ]
    assert [(r["arm"], float(r["seconds"]), r["hits_mean"]) for r in last] == [
        ("random", 8, "0.5"), ("nearest", 8, "0.0"), ("tpe", 8, "0.0")
    ]  # fmt: skip
    pairs = read("pairs.csv")
    assert [(r["first"], r["second"], r["seeds"], r["difference_mean"]) for r in pairs] == [
        ("nearest", "random", "0", "-1.0"), ("tpe", "random", "0 1", "-0.5")
    ]  # fmt: skip

    def strict(constant):
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads((tmp_path / "compare.json").read_text(), parse_constant=strict)
    assert content["task"]["name"] == "quickstart"
    assert [a["arm"] for a in content["arms"]] == ["random", "nearest", "tpe"]
    random, nearest, _ = content["arms"]
    assert random["hits"]["interval"][0] == 0
    assert nearest["hits"]["interval"] is None
    assert (content["runs"][0]["samples"], content["runs"][0]["proposals"]) == (90, 40)
    assert content["runs"][3]["calls"][0]["error"] is None
    assert [clock["call_hours"] for clock in content["equal_time"]] == [None, 1.0]
    assert content["equal_time"][0]["hits"]["random"][-1]["mean"] == 0.5
    assert content["differences"][1]["by_seed"] == [-1, 0]
    write_files(more, config, 0.0, tmp_path)
    assert {r["call_hours"] for r in read("times.csv")} == {""}


def test_campaigns_of_older_code_are_named(tmp_path, config):
    def made(arm, seed, code, day):
        return replace(outcome(arm, seed, [0.0]), code=code, created=f"2026-11-{day:02}")

    old = [made("random", 0, None, 1), made("random", 1, None, 2)]
    same = [made("random", 0, "aa", 3), made("random", 1, "aa", 5), made("tpe", 0, "aa", 4)]
    assert code_note(old) is None
    assert code_note(same) is None
    mixed = [*old, made("tpe", 0, "aa", 3), made("tpe", 1, "bb", 6), made("tpe", 2, "aa", 4)]
    note = code_note(mixed)
    assert note.startswith(
        "Made by different code: random, seeds 0, 1 (unknown); tpe, seeds 0, 2 (aa) - older than "
        "that of the newest campaign (bb)."
    )
    assert note in build_page(mixed, config, 1.0)
    assert "different code" not in build_page(same, config, 1.0)
    for outcomes, expected in ((mixed, note), (same, None)):
        write_files(outcomes, config, 1.0, tmp_path)
        assert json.loads((tmp_path / "compare.json").read_text())["code_note"] == expected


def test_the_terminal_names_them_too(tmp_path, monkeypatch):
    mixed = [replace(o, code=f"c{o.seed}", created=str(o.seed)) for o in OUTCOMES]
    monkeypatch.setattr("design_loop.compare.run.compare", lambda *_, **__: mixed)
    command = ["bench", "compare", "quickstart", "--out", str(tmp_path), "--proposer", "random"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert code_note(mixed) in shown.output


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.fetched += [v for k, v in attributes if k in ("src", "href")]


@pytest.mark.parametrize("errors", [[-0.2, -0.3], [0.1, -0.3], [0.0, 0.0], [0.2, 0.1]])
def test_errors_better_than_a_goals_reference_are_inside_the_drawing(config, errors):
    page = build_page([outcome("genetic", 0, errors)], config, 1.0)
    [curve] = re.findall(
        r'aria-label="best error[^"]*oracle calls".*?<polyline[^>]*="([^"]*)"', page
    )
    heights = [float(place.split(",")[1]) for place in curve.split()]
    assert all(0 < y <= 320 - 44 for y in heights)
    # Down is better: the last is lowest, and only equal errors are drawn at one height.
    assert (heights[-1] > heights[0]) == (errors[1] < errors[0])


def test_the_page_needs_nothing_else(config):
    page = build_page([*OUTCOMES, outcome("<b>", 0, [0.1])], config, 1.0)
    parser = _Links()
    parser.feed(page)
    assert not parser.fetched
    assert "script" not in parser.tags
    assert "<b>" not in page.replace("<b></b>", "")
    assert parser.tags.count("polyline") == 3 * 4
    assert "random: 0.5 [0, 1]" in page
    for found in word_tables(OUTCOMES, config, 1.0):
        assert f"<h2>{found.title}</h2>" in page
    assert "0.5 (0.0–6.9)" in page
    assert "&lt;b&gt; ends, 4 s" in page


def test_a_page_without_labels_says_so(config):
    assert "no labels yet" in build_page([outcome("random", 0, [])], config, 1.0)


@pytest.mark.parametrize(
    "proposer",
    [
        {"kind": "llm"},
        {"kind": "llm", "feedback": False},
        {"kind": "random", "screen": 20},
        {"kind": "genetic", "screen": 40, "mutation": 0.9},
    ],
    ids=str,
)
def test_arms_differ_in_nothing_but_the_proposer(config, proposer):
    config = type(config).model_validate(config.model_dump(mode="json") | {"proposer": proposer})
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
    assert arm_config(config, "llm", 0).proposer.feedback is True
    assert [arm_config(config, arm, 0).proposer.screen for arm in ("random", "genetic")] == [1, 1]
    # Other settings of its own kind are the task's.
    own = proposer.get("mutation", config.proposer.mutation)
    assert arm_config(config, "genetic-wide", 0).proposer.mutation == own
    with pytest.raises(ConfigError, match="did you mean 'genetic'"):
        arm_config(config, "genetics", 0)


def test_answers_and_what_is_new_among_them_are_told_apart(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path).run()
        found = read_outcome(ledger, campaign, "llm", 0, known=())
        versions = ledger.campaign(campaign).versions
        drops = sum(ledger.funnel(campaign).drops.values())
    assert (
        found.code == versions[CODE] == source_hash(("defects", "training", "serve", "design_loop"))
    )
    assert found.created
    assert found.samples == 120
    assert found.proposals == 120 - drops
    assert 0 < drops < 120


def test_settings_of_the_task_hold_for_the_arm_of_its_kind(config):
    own = arm_config(config, "genetic", 0).model_dump(mode="json")
    own["proposer"] = {"kind": "genetic", "population": 99}
    task = type(config).model_validate(own)
    assert arm_config(task, "genetic", 0).proposer.population == 99
    assert arm_config(task, "random", 0).proposer.kind == "random"
