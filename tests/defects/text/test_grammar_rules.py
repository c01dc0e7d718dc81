"""Grammars under rules of places, counts and seeds: what they write keeps all but separations."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from defects.errors import ParseError, RuleError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import FORMATS, Request, build_answer, build_prompt, longest_answer, parse_answer
from defects.text import grammar as module
from defects.text.augment import training_pair
from defects.text.grammar import answer_grammar

sys.path.insert(0, str(Path(__file__).parents[1]))
from rules_cases import cases

MOS2 = get_host("MoS2", "4x4")


def request_of(**fields):
    return Request(MOS2, Rules(defects=("V_S", "Se_S", "W_Mo"), **fields), {})


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(cases(), st.sampled_from(FORMATS), st.integers(0, 10**6))
def test_what_a_grammar_writes_keeps_every_rule_but_separations(case, fmt, seed):
    host, rules = case
    try:
        rules.validate_for(host)
    except RuleError:
        assume(False)
    request = Request(host, rules, {})
    grammar = answer_grammar(request, fmt)
    rng = random.Random(seed)
    for _ in range(6):
        text = grammar.sample(rng)
        assert len(text) <= grammar.longest <= longest_answer(request, fmt)
        try:
            found = parse_answer(text, request, fmt)
        except ParseError as error:
            assert error.reason == "rule_violation"
            assert rules.min_separation
            assert error.detail.startswith("min_separation")
        else:
            assert build_answer(found, request, fmt) == text or not rules.on(host).as_placed(
                found.changes
            )
    drawn = random_configuration(host, rules, np.random.default_rng(seed))
    assert grammar.accepts(build_answer(drawn, request, fmt))


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("limit", [10, 2000])
def test_a_grammar_without_room_leaves_numbers_to_the_parser(monkeypatch, fmt, limit):
    monkeypatch.setattr(module, "MAX_ALTERNATIVES", limit)
    request = request_of(
        max_defects=5, counts={"V_S": [1, 2], "W_Mo": [0, 1]}, where={"Se_S": "top"},
        seeds=["S1 0 0 VAC"], frozen=["Mo0 0 0"],
    )  # fmt: skip
    grammar = answer_grammar(request, fmt)
    for seed in range(20):
        drawn = random_configuration(MOS2, request.rules, np.random.default_rng(seed))
        assert grammar.accepts(build_answer(drawn, request, fmt))
    rng, broken = random.Random(1), set()
    for _ in range(10 if limit == 10 and fmt == "full" else 30):
        try:
            parse_answer(grammar.sample(rng), request, fmt)
        except ParseError as error:
            broken.add(error.reason)
    assert broken <= {"rule_violation", "duplicate_site", "malformed", "no_change"}


def test_counts_of_kinds_are_part_of_the_grammar_of_a_laptops_campaign():
    request = request_of(max_defects=6, counts={"V_S": [1, 2], "W_Mo": [0, 2]})
    grammar = answer_grammar(request, "compact")
    assert not grammar.accepts("S1 0 0 Se")
    assert not grammar.accepts("S1 0 0 VAC\nS1 0 1 VAC\nS1 0 2 VAC")
    assert grammar.accepts("S1 0 0 Se\nS1 0 1 VAC\nS1 0 2 VAC")


def test_an_answer_elsewhere_in_the_crystal_is_read_as_the_placement_that_keeps_the_rules():
    request = request_of(frozen=["S1 0 0"])
    found = parse_answer("S1 0 0 VAC", request, "compact")
    assert found.n_defects == 1
    assert found.defects[0].site != MOS2.site_of_label["S1 0 0"]
    with pytest.raises(ParseError, match=r"min_separation: V_S on S1 0 0 and V_S on S1 0 1 are"):
        parse_answer("S1 0 0 VAC\nS1 0 1 VAC", request_of(min_separation=3.5), "compact")


def test_prompts_say_the_rules_and_plain_ones_stay_as_they_were():
    said = build_prompt(
        request_of(
            counts={"V_S": 1}, where={"S": "top"}, min_separation=4, seeds=["S1 0 0 VAC"],
            concentration={"all": 0.1, "S": 0.05}, frozen=[1, {"around": 2, "within": 3}],
        ),
        "compact",
    ).splitlines()  # fmt: skip
    plain = build_prompt(request_of(max_defects=4), "compact").splitlines()
    assert plain[3] == said[3] == "Number of defects: 1 to 4"
    assert said[4:10] == [
        "Number of each: V_S 1 to 1",
        "Share of sites: S 0 to 0.05",
        "Places: S top",
        "Separation: any 4",
        "Frozen: 1, within 3 of 2",
        "Contains: S1 0 0 VAC",
    ]
    assert said[10:] == plain[4:]


def test_training_answers_keep_the_rules_where_they_lie():
    """Not any member of the class: one in the bottom layer would answer a request for the top."""
    rules = Rules(defects=("V_S", "W_Mo"), where={"S": "top"}, frozen=["Mo0 0 0"])
    rng = np.random.default_rng(0)
    request = Request(MOS2, rules, {})
    seen = set()
    for _ in range(30):
        drawn = random_configuration(MOS2, rules, rng).canonical()
        _, answer = training_pair(drawn, rules, {}, "compact", rng, placement="anchored")
        assert answer_grammar(request, "compact").accepts(answer) if not seen else True
        found = parse_answer(answer, request, "compact")
        assert found.key == drawn.key
        assert build_answer(found, request, "compact") == answer
        seen.add(answer.split()[1])
    assert len(seen) > 2
