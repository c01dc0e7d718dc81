"""Listed answers as a grammar: exactly these, in as few states as it takes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defects.errors import RuleError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import Request, answer_grammar, build_answer, canonical_member, parse_answer
from defects.text import grammar as module
from defects.text.grammar import Grammar
from defects.text.grammar_list import listed_states

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), min_defects=1, max_defects=4)


def _among(n, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(random_configuration(HOST, RULES, rng) for _ in range(n))


def _words(states):
    """Every answer of an automaton, by following all of its ways."""
    found, open_ = [], [("", 0)]
    while open_:
        text, state = open_.pop()
        for part, after in states[state]:
            if after is None:
                found.append(text + part)
            else:
                open_.append((text + part, after))
    return sorted(found)


PARTS = st.lists(st.lists(st.sampled_from(["a ", "b ", "c "]), max_size=6), max_size=40)


@given(PARTS)
def test_an_automaton_holds_its_answers_and_no_others(answers):
    states = listed_states(answers)
    # One way each: no answer is found twice, so that none is likelier than another.
    assert _words(states) == sorted({"".join(a) for a in answers})


@given(PARTS)
def test_no_two_states_are_followed_by_the_same(answers):
    states = listed_states(answers)
    follow = []
    for number in range(len(states)):
        moved = [*states]
        moved[0], moved[number] = moved[number], moved[0]
        swap = {0: number, number: 0}
        renamed = tuple(
            tuple((part, swap.get(after, after)) for part, after in state) for state in moved
        )
        follow.append(tuple(_words(renamed)))
    assert len(set(follow)) == len(follow)


def test_what_answers_share_is_said_once():
    ends = [["x ", "1"], ["x ", "2"]]
    states = listed_states([[head, *end] for head in ("a ", "b ", "c ") for end in ends])
    assert sum(len(state) for state in states) == 3 + 1 + 2 + 1


def test_only_what_is_named_is_accepted():
    among = _among(300)
    request = Request(HOST, RULES, {}, among=among)
    grammar = answer_grammar(request, "compact")
    texts = {build_answer(c, request, "compact") for c in among}
    assert all(grammar.accepts(text) for text in texts)
    others = {build_answer(c, request, "compact") for c in _among(300, seed=1)} - texts
    assert len(others) > 200
    assert not any(grammar.accepts(text) for text in others)
    rng = random.Random(0)
    assert {grammar.sample(rng) for _ in range(500)} <= texts
    assert grammar.longest == max(map(len, texts))


def test_the_member_that_training_shows_keeps_the_rules_where_it_lies():
    top = Rules(defects=("V_Mo", "V_S"), where={"S": "top"}, max_defects=4)
    rng = np.random.default_rng(3)
    for _ in range(20):
        drawn = random_configuration(HOST, top, rng)
        shown = canonical_member(drawn, top)
        assert shown.key == drawn.key
        request = Request(HOST, top, {}, among=(shown,))
        [text] = _words(answer_grammar(request, "compact").states)
        assert parse_answer(text, request, "compact") == shown


@pytest.mark.parametrize(
    ("among", "fmt", "said"),
    [
        ((), "compact", "no configuration is named"),
        (_among(2), "full", "for compact, not for full"),
        (_among(40), "compact", "name fewer"),
    ],
)
def test_lists_without_a_grammar_are_refused(among, fmt, said, monkeypatch):
    monkeypatch.setattr(module, "MAX_ALTERNATIVES", 100)
    with pytest.raises(RuleError, match=said):
        answer_grammar(Request(HOST, RULES, {}, among=among), fmt)


def test_a_grammar_of_a_list_is_written_in_ebnf():
    among = _among(5)
    written = answer_grammar(Request(HOST, RULES, {}, among=among), "compact").to_ebnf()
    assert written.startswith("root ::= ")
    assert isinstance(answer_grammar(Request(HOST, RULES, {}, among=among), "compact"), Grammar)
