"""Grammars of right answers: what they accept is what the parser takes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from defects.errors import ParseError, RuleError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import Frame, Request, build_answer, longest_answer, parse_answer, random_frame
from defects.text import grammar as module
from defects.text.grammar import answer_grammar

MOS2 = ("V_Mo", "V_S", "W_Mo", "Se_S")
CASES = {
    "mos2": ("MoS2", (4, 4, 1), Rules(defects=MOS2, max_defects=6)),
    "wide": ("MoS2", (12, 11, 1), Rules(defects=("V_S",), max_defects=2)),
    "exact": ("BN", (3, 3, 1), Rules(defects=("C_B", "C_N"), min_defects=4, max_defects=4)),
    "all": ("BN", (2, 2, 1), Rules(defects=("V_N",), min_defects=4, max_defects=4)),
    "more_than_there_are": ("BN", (2, 2, 1), Rules(defects=("V_N",), max_defects=30)),
    "layers": ("P", (2, 2, 2), Rules(defects=("V_P", "N_P"), min_defects=2, max_defects=5)),
}
FORMATS = ("compact", "full")


def request_of(name, rng=None):
    host_name, cell, rules = CASES[name]
    host = get_host(host_name, cell)
    frame = Frame() if rng is None else random_frame(host, rng)
    return Request(host, rules, {}, frame)


@pytest.fixture(params=FORMATS)
def fmt(request):
    return request.param


@pytest.mark.parametrize("case", CASES)
def test_every_configuration_of_the_rules_is_accepted(case, fmt):
    rng = np.random.default_rng(1)
    request = request_of(case, rng)
    grammar = answer_grammar(request, fmt)
    most = min(request.rules.max_defects, len(request.rules.options(request.host)))
    for n in range(request.rules.min_defects, most + 1):
        for _ in range(5):
            configuration = random_configuration(request.host, request.rules, rng, n)
            assert grammar.accepts(build_answer(configuration, request, fmt))


@pytest.mark.parametrize("case", CASES)
def test_every_accepted_answer_is_valid(case, fmt):
    request = request_of(case, np.random.default_rng(2))
    grammar = answer_grammar(request, fmt)
    rng = random.Random(3)
    for _ in range(60):
        text = grammar.sample(rng)
        configuration = parse_answer(text, request, fmt)
        assert request.rules.violation(configuration) is None
        assert build_answer(configuration, request, fmt) == text
        assert len(text) <= grammar.longest <= longest_answer(request, fmt)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S1 0 0 VAC\n",
        "S1 0 0 VAC\nS1 0 0 Se",  # the same site
        "S1 0 1 VAC\nS1 0 0 VAC",  # descending
        "S1 0 4 VAC",  # beyond the cell
        "S1 0 0 W",  # of the other sublattice
        "S1 0 0 S",
        "\n".join(f"S1 0 {i} VAC" for i in range(4))
        + "\n"
        + "\n".join(f"S2 0 {i} VAC" for i in range(3)),
    ],
)
def test_wrong_compact_answers_are_not_accepted(text):
    assert not answer_grammar(request_of("mos2"), "compact").accepts(text)


def test_full_answers_may_change_symbols_only():
    request = request_of("mos2")
    grammar = answer_grammar(request, "full")
    rng = np.random.default_rng(0)
    answer = build_answer(
        random_configuration(request.host, request.rules, rng, 2), request, "full"
    )
    assert grammar.accepts(answer)
    lines = answer.splitlines()
    place = lines[1]
    for changed in (
        place.replace(".", "x"),
        place[:-1],
        place.replace("0", "1", 1),
        f" {place}",
    ):
        assert not grammar.accepts("\n".join([lines[0], changed, *lines[2:]]))
    assert not grammar.accepts(answer + "\n")
    pristine = request.host.species
    untouched = [s if i % 2 else pristine[i // 2] for i, s in enumerate(lines)]
    assert not grammar.accepts("\n".join(untouched))


def test_a_frame_of_its_own_has_coordinates_of_its_own():
    grammar = answer_grammar(request_of("mos2", np.random.default_rng(5)), "full")
    other = answer_grammar(request_of("mos2", np.random.default_rng(6)), "full")
    assert not other.accepts(grammar.sample(random.Random(0)))


def test_rules_that_nothing_meets_are_refused(fmt):
    host = get_host("BN", (2, 2, 1))
    rules = Rules(defects=("V_N",), min_defects=5, max_defects=6)
    with pytest.raises(RuleError, match="only 4 sites"):
        answer_grammar(Request(host, rules), fmt)


@pytest.mark.parametrize("limit, reasons", [(1400, {"rule_violation"}), (10, {"duplicate_site"})])
def test_a_grammar_too_large_says_less(monkeypatch, limit, reasons):
    monkeypatch.setattr(module, "MAX_ALTERNATIVES", limit)
    request = request_of("mos2")
    grammar = answer_grammar(request, "compact")
    rng, found = random.Random(0), set()
    for _ in range(1000):
        try:
            parse_answer(grammar.sample(rng), request, "compact")
        except ParseError as error:
            found.add(error.reason)
    assert found & reasons
    assert found <= {"duplicate_site", "rule_violation"}
    assert (grammar.longest is None) == (limit == 10)


def test_a_full_grammar_too_large_leaves_the_count_to_the_parser(monkeypatch):
    monkeypatch.setattr(module, "MAX_ALTERNATIVES", 1000)
    request = request_of("mos2")
    with pytest.raises(ParseError, match="defects, allowed are 1 to 6"):
        parse_answer(answer_grammar(request, "full").sample(random.Random(0)), request, "full")


@pytest.mark.parametrize("case", ["mos2", "exact"])
def test_the_engine_reads_the_grammar_as_we_do(case, fmt):
    xgrammar = pytest.importorskip("xgrammar")
    vocabulary = [chr(c) for c in range(32, 127)] + ["\n", "</s>"]
    info = xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[len(vocabulary) - 1])
    request = request_of(case, np.random.default_rng(4))
    grammar = answer_grammar(request, fmt)
    compiled = xgrammar.GrammarCompiler(info, max_threads=1).compile_grammar(grammar.to_ebnf())
    rng = random.Random(7)
    for _ in range(10):
        text = grammar.sample(rng)
        spoilt = list(text)
        spoilt[rng.randrange(len(text))] = rng.choice("0123.VSeACx \n")
        for each in (text, "".join(spoilt), text + "\n", text[:-1]):
            matcher = xgrammar.GrammarMatcher(compiled)
            there = matcher.accept_string(each) and matcher.accept_token(len(vocabulary) - 1)
            assert there == grammar.accepts(each)
