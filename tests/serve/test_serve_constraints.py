"""Constraints: the grammar that the server builds is that of the client's own request."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from defects.errors import HostError, RuleError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import Request, answer_grammar, random_frame
from serve.constraints import ConstraintTable, can_list, constraint_of, constraints_of
from serve.schemas import MAX_LISTED, Constraint

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_S", "W_Mo"), min_defects=2, max_defects=3)


@pytest.mark.parametrize("fmt", ["compact", "full"])
def test_a_request_survives_the_wire(fmt):
    request = Request(HOST, RULES, {"homo": 1.0}, random_frame(HOST, np.random.default_rng(0)))
    wire = json.loads(json.dumps(constraint_of(request, fmt)))
    grammar = ConstraintTable().grammar(Constraint.model_validate(wire).model_dump(mode="json"))
    assert grammar == answer_grammar(request, fmt).to_ebnf()


def test_rules_of_places_survive_the_wire():
    rules = Rules(
        defects=("V_S", "W_Mo"), where={"S": "top"}, counts={"W_Mo": [0, 1]},
        concentration={"S": 0.1}, min_separation=3.0, frozen=[3, {"around": "S1 0 0", "within": 2}],
        seeds=["S2 0 0 VAC", "S1 0 0 VAC"],
    )  # fmt: skip
    request = Request(HOST, rules)
    wire = json.loads(json.dumps(constraint_of(request, "compact")))
    table = ConstraintTable()
    checked = Constraint.model_validate(wire)
    table.check(checked)
    assert len({checked, Constraint.model_validate(wire)}) == 1
    assert table.grammar(checked.model_dump(mode="json")) == (
        answer_grammar(request, "compact").to_ebnf()
    )
    assert checked.rules == rules.model_copy(update={"min_separation": {}})


def test_named_configurations_survive_the_wire():
    rng = np.random.default_rng(0)
    among = tuple(random_configuration(HOST, RULES, rng) for _ in range(40))
    request = Request(HOST, RULES, {}, among=among)
    wire = json.loads(json.dumps(constraint_of(request, "compact")))
    table = ConstraintTable()
    checked = Constraint.model_validate(wire)
    table.check(checked)
    assert table.request(checked).among == among
    assert table.grammar(wire) == answer_grammar(request, "compact").to_ebnf()
    assert "among" not in constraint_of(Request(HOST, RULES), "compact")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"among": [[[0, "W"], [1, "W"]], [[0, "W"], [48, "VAC"]]]}, "configuration 1: site 48"),
        ({"among": [[[0, "W"], [1, "Mo"]]]}, "configuration 0: site 1 holds Mo"),
        ({"among": [[[0, "W"], [0, "W"]]]}, "configuration 0 names a site twice"),
        ({"among": [[[0, "W"]]]}, "configuration 0 is none of the rules': 1 defects"),
        ({"among": [[[0, "VAC"], [1, "W"]]]}, "configuration 0 is none of the rules'"),
        ({"among": [[[0, "W"], [1, "W"]]], "format": "full"}, "in the compact format only"),
    ],
)
def test_named_configurations_that_are_none_of_the_rules_are_refused(change, said):
    wire = constraint_of(Request(HOST, RULES), "compact") | change
    with pytest.raises(RuleError, match=said):
        ConstraintTable().check(Constraint.model_validate(wire))


def _crowded(n):
    """So many configurations with twenty defects each."""
    rules = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), min_defects=20, max_defects=20)
    host, rng = get_host("MoS2", "8x8"), np.random.default_rng(0)
    among = tuple(random_configuration(host, rules, rng) for _ in range(n))
    return Request(host, rules, {}, among=among)


def test_how_many_configurations_may_be_named():
    one = random_configuration(HOST, RULES, np.random.default_rng(0))
    assert can_list(Request(HOST, RULES, {}, among=(one,)), "compact")
    assert can_list(Request(HOST, RULES, {}, among=(one,) * MAX_LISTED), "compact")
    assert not can_list(Request(HOST, RULES, {}, among=(one,) * (MAX_LISTED + 1)), "compact")
    assert not can_list(Request(HOST, RULES, {}, among=(one,)), "full")
    assert not can_list(Request(HOST, RULES, {}, among=()), "compact")
    assert not can_list(Request(HOST, RULES), "compact")


def test_many_defects_in_many_configurations_are_refused_before_the_engine():
    request = _crowded(1000)
    assert can_list(replace(request, among=request.among[:200]), "compact")
    assert not can_list(request, "compact")
    with pytest.raises(RuleError, match=r"1000 configurations to answer with .* name fewer"):
        ConstraintTable().check(Constraint.model_validate(constraint_of(request, "compact")))


def test_a_list_that_requests_share_is_written_out_once():
    rng = np.random.default_rng(0)
    among = tuple(random_configuration(HOST, RULES, rng) for _ in range(5))
    requests = [Request(HOST, RULES, {"homo": float(i)}, among=among) for i in range(3)]
    other = Request(HOST, RULES, {}, among=among[:1])
    made = constraints_of([*requests, other, Request(HOST, RULES)], "compact")
    assert made[:3] == [constraint_of(requests[0], "compact")] * 3
    assert made[0]["among"] is made[2]["among"]
    assert len(made[3]["among"]) == 1
    assert "among" not in made[4]


@pytest.mark.parametrize(
    "change",
    [
        {"among": []},
        {"among": [[]]},
        {"among": [[[-1, "W"]]]},
        {"among": [[[0, "root ::= x"]]]},
        {"among": [[[0, "W"]]] * 10_001},
        {"frozen": list(range(5000))},
        {"seeds": ["S1 0 0 VAC"] * 65},
        {"seeds": ["S1 0 0 VAC; " * 1000]},
        {"where": {"S": "x" * 50}},
        {"frozen": ["x" * 100]},
        {"seeds": ["/etc/passwd.cif" * 1000]},
    ],
)
def test_large_rules_are_refused(change):
    wire = constraint_of(Request(HOST, RULES), "compact")
    with pytest.raises(ValidationError):
        Constraint.model_validate({**wire, **change})


def test_a_path_among_the_seeds_is_never_opened(tmp_path):
    file = tmp_path / "seed.cif"
    file.write_text("no crystal")
    wire = constraint_of(Request(HOST, RULES), "compact") | {"seeds": [str(file)]}
    with pytest.raises(RuleError, match="no changed site"):
        ConstraintTable().check(Constraint.model_validate(wire))


def test_an_equal_constraint_is_built_once():
    table = ConstraintTable()
    wire = constraint_of(Request(HOST, RULES), "compact")
    assert table.grammar(wire) is table.grammar(dict(wire))


def test_check_refuses_what_cannot_be_met():
    table = ConstraintTable()
    wire = constraint_of(Request(HOST, RULES), "compact")
    table.check(Constraint.model_validate(wire))
    with pytest.raises(HostError, match="unknown host"):
        table.check(Constraint.model_validate(wire | {"host": "/etc/passwd"}))
    with pytest.raises(RuleError, match="no Te"):
        table.check(Constraint.model_validate(wire | {"defects": ["V_Te"]}))


def test_a_host_too_large_goes_without():
    def made(cell):
        return constraints_of([Request(get_host("MoS2", cell), RULES)], "compact")

    assert made("20x20") is not None
    assert ConstraintTable().grammar(made("8x8")[0])
    assert made("21x20") is None


def test_every_random_frame_is_a_constraint():
    # A shift is rounded to two decimals, one in two hundred to 1.
    rng = np.random.default_rng(0)
    shifts = set()
    for _ in range(1000):
        request = Request(HOST, RULES, {}, random_frame(HOST, rng))
        wire = json.loads(json.dumps(constraint_of(request, "full")))
        assert ConstraintTable().request(Constraint.model_validate(wire)).frame == request.frame
        shifts |= set(wire["shift"])
    assert {0.0, 1.0} <= shifts
