"""Rules and targets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from defects.configuration import Configuration
from defects.errors import RuleError, TargetError
from defects.hosts import get_host
from defects.rules import Rules, parse_defect
from defects.sampling import random_configuration
from defects.targets import Target, parse_target, surrogate_error

HOST = get_host("MoS2", "4x4")


def test_random_configurations_obey_the_rules():
    rules = Rules(defects=("V_S", "W_Mo"), min_defects=2, max_defects=4)
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert rules.violation(random_configuration(HOST, rules, rng)) is None


def test_violations_say_what():
    rules = Rules(defects=("V_S",), max_defects=1)
    two = Configuration.from_changes(HOST, {16: "VAC", 17: "VAC"})
    assert "2 defects" in rules.violation(two)
    metal = Configuration.from_changes(HOST, {0: "VAC"})
    assert "V_Mo" in rules.violation(metal)


def test_rules_of_another_host_are_refused():
    with pytest.raises(RuleError, match="has no Ga"):
        Rules(defects=("V_Ga",)).validate_for(HOST)
    with pytest.raises(RuleError, match="only 1 sites"):
        Rules(defects=("V_Mo",), min_defects=2, max_defects=3).validate_for(get_host("MoS2", "1x1"))


def test_defect_names():
    assert parse_defect("V_S") == ("VAC", "S")
    assert parse_defect("Se_S") == ("Se", "S")
    for bad in ("VS", "v_s", "S_S", "_S", "V_", ""):
        with pytest.raises(RuleError):
            parse_defect(bad)


def test_more_min_than_max_is_refused():
    with pytest.raises(ValidationError, match="above max_defects"):
        Rules(defects=("V_S",), min_defects=3, max_defects=2)


@pytest.mark.parametrize(
    ("text", "value", "error"),
    [
        ("gap=1.1", 1.3, 0.2),
        ("gap=0.9..1.2", 1.0, 0.0),
        ("gap=0.9..1.2", 1.5, 0.3),
        ("gap>=1", 0.25, 0.75),
        ("gap<=1", 0.25, 0.0),
        ("gap=min", -3.0, -3.0),
        ("gap=max", -3.0, 3.0),
    ],
)
def test_target_errors(text, value, error):
    assert parse_target(text).error(value) == pytest.approx(error)


def test_tolerance_decides_hits():
    target = parse_target("gap=1.1+-0.02")
    assert target.satisfied(1.119) and not target.satisfied(1.121)


def test_nan_is_infinitely_far():
    assert parse_target("gap=1").error(math.nan) == math.inf


@pytest.mark.parametrize("text", ["gap", "gap~1", "gap=", "=1", "gap=2..1", "gap=1+-0", "gap<=x"])
def test_bad_targets(text):
    with pytest.raises(TargetError):
        parse_target(text)


@pytest.mark.parametrize(
    "fields",
    [{}, {"value": 1, "min": 0}, {"min": 2, "max": 1}, {"min": 1, "tolerance": 0.1},
     {"value": 1, "tolerance": 0}, {"value": float("nan")}],
)  # fmt: skip
def test_contradictory_targets_are_refused(fields):
    with pytest.raises(ValidationError):
        Target(property="gap", **fields)


def test_weights_enter_the_surrogate_error():
    targets = [Target(property="a", value=0, weight=3), Target(property="b", value=0)]
    assert surrogate_error(targets, {"a": 1.0, "b": 5.0}) == pytest.approx(2.0)
