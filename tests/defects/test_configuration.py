"""Configurations: invariants, canonical form, keys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.configuration import Configuration, PointDefect
from defects.errors import DatasetError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import enumerate_configurations, random_configuration

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 191))
def test_key_and_canonical_form_do_not_change_under_symmetry(seed, operation):
    c = random_configuration(HOST, RULES, np.random.default_rng(seed))
    image = c.transform(HOST.symmetry[operation])
    assert image.key == c.key
    assert image.canonical() == c.canonical()
    assert c.canonical().canonical() == c.canonical()
    assert image.counts() == c.counts()


def test_the_canonical_form_is_a_member_of_the_class():
    c = random_configuration(HOST, RULES, np.random.default_rng(5), 4)
    images = {c.transform(p) for p in HOST.symmetry}
    assert c.canonical() in images


@pytest.mark.parametrize(("n", "classes"), [(1, 4), (2, 53)])
def test_enumeration_finds_every_class_once(n, classes):
    found = list(enumerate_configurations(HOST, RULES, n))
    assert len(found) == len({c.key for c in found}) == classes


def test_different_pairs_have_different_keys():
    near = Configuration.from_changes(HOST, {16: "VAC", 17: "VAC"})
    over = Configuration.from_changes(HOST, {16: "VAC", 32: "VAC"})
    assert near.key != over.key


def test_bad_configurations_are_refused():
    with pytest.raises(ValueError, match="sorted"):
        Configuration(HOST, (PointDefect(5, "VAC"), PointDefect(2, "VAC")))
    with pytest.raises(ValueError, match="not one of 48"):
        Configuration.from_changes(HOST, {48: "VAC"})
    with pytest.raises(ValueError, match="pristine"):
        Configuration.from_changes(HOST, {0: "Mo"})


def test_dict_round_trip_and_refusal():
    c = random_configuration(HOST, RULES, np.random.default_rng(2))
    assert Configuration.from_dict(c.to_dict()) == c
    with pytest.raises(DatasetError, match="named twice"):
        Configuration.from_dict(c.to_dict() | {"defects": [[3, "VAC"], [3, "W"]]})
    with pytest.raises(DatasetError, match="supercell"):
        Configuration.from_dict(c.to_dict(), get_host("MoS2", "8x8"))


def test_description_sorts_the_names():
    c = Configuration.from_changes(HOST, {0: "VAC", 20: "Se", 40: "VAC"})
    assert c.description == "Se_S+V_Mo+V_S"
    assert Configuration(HOST, ()).description == "pristine"
