"""Both instruction formats: round trips, every drop reason, hostile text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defects.configuration import Configuration
from defects.descriptors import describe
from defects.errors import ParseError
from defects.hosts import builtin_hosts, get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import (
    DROP_REASONS,
    FORMATS,
    Request,
    build_answer,
    build_prompt,
    parse_answer,
    random_frame,
    training_pair,
)
from defects.text.augment import anchored, random_member
from defects.text.frame import lattice_rotations

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"))


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("name", builtin_hosts())
def test_round_trip_in_random_frames(name, fmt):
    host = get_host(name, "3x3")
    rules = Rules(defects=tuple(f"V_{e}" for e in dict.fromkeys(host.species)))
    rng = np.random.default_rng(0)
    for _ in range(10):
        c = random_configuration(host, rules, rng)
        request = Request(host, rules, {"homo_lumo_gap": 1.1}, random_frame(host, rng))
        assert parse_answer(build_answer(c, request, fmt), request, fmt) == c


def test_the_prompt_states_what_is_asked():
    prompt = build_prompt(Request(HOST, RULES, {"homo_lumo_gap": 1.1043, "homo": -5.0}), "compact")
    assert "Host: MoS2, supercell 4x4x1" in prompt
    assert "V_Mo, V_S, W_Mo, Se_S" in prompt
    assert "homo_lumo_gap: 1.104 eV\nhomo: -5.000 eV\n" in prompt
    assert "Only the atom symbols may change; a vacancy is VAC." in prompt


def test_the_full_prompt_lists_cell_and_sites():
    lines = build_prompt(Request(HOST, RULES), "full").splitlines()
    assert "12.76 12.76 14.88" in lines
    assert "90 90 120" in lines
    assert sum(line in ("Mo", "S") for line in lines) == 48


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("S1 3 0", "malformed"),
        ("hello", "malformed"),
        ("S1 9 0 VAC", "unknown_site"),
        ("B0 0 0 VAC", "unknown_site"),
        ("S1 3 0 VAC\nS1 3 0 Se", "duplicate_site"),
        ("S1 3 0 Xx", "unknown_species"),
        ("S1 3 0 S", "no_change"),
        ("S1 3 0 W", "rule_violation"),
        ("\n".join(f"S1 {i} {j} VAC" for i in range(4) for j in range(2)), "rule_violation"),
        ("x" * 10_000, "malformed"),
    ],
)
def test_compact_drop_reasons(answer, reason):
    with pytest.raises(ParseError) as caught:
        parse_answer(answer, Request(HOST, RULES), "compact")
    assert caught.value.reason == reason
    assert reason in DROP_REASONS


def _full_lines() -> list[str]:
    c = Configuration.from_changes(HOST, {16: "VAC"})
    return build_answer(c, Request(HOST, RULES), "full").splitlines()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: [], "empty"),
        (lambda lines: lines[:-4], "truncated"),
        (lambda lines: [*lines, "S", "0.00 0.00 0.00"], "malformed"),
        (lambda lines: [*lines[:1], "0.99 0.99 0.99", *lines[2:]], "unknown_site"),
        (lambda lines: ["Xx", *lines[1:]], "unknown_species"),
        (lambda lines: ["1.0", *lines[1:]], "malformed"),
        (lambda lines: [s if s != "VAC" else "S" for s in lines], "no_change"),
        (lambda lines: ["Se", *lines[1:]], "rule_violation"),
    ],
)
def test_full_drop_reasons(change, reason):
    text = "\n".join(change(_full_lines()))
    with pytest.raises(ParseError) as caught:
        parse_answer(text, Request(HOST, RULES), "full")
    assert caught.value.reason == reason


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400), st.sampled_from(FORMATS))
def test_any_text_is_a_configuration_or_a_counted_reason(text, fmt):
    try:
        found = parse_answer(text, Request(HOST, RULES), fmt)
    except ParseError as error:
        assert error.reason in DROP_REASONS
    else:
        assert RULES.violation(found) is None


@pytest.mark.parametrize("fmt", FORMATS)
def test_training_pairs_show_members_of_the_class(fmt):
    rng = np.random.default_rng(0)
    c = random_configuration(HOST, RULES, rng, 4)
    answers = set()
    for _ in range(20):
        prompt, answer = training_pair(
            c, RULES, {"homo_lumo_gap": 0.5}, fmt, rng, placement="anchored"
        )
        answers.add(answer)
        if fmt == "compact":
            assert parse_answer(answer, Request(HOST, RULES), fmt).key == c.key
        assert "homo_lumo_gap: 0.500 eV" in prompt
    assert len(answers) > 10


def test_canonical_pairs_show_one_member_of_the_class():
    rng = np.random.default_rng(0)
    c = random_configuration(HOST, RULES, rng, 3)
    answers = set()
    for _ in range(10):
        image = random_member(c, rng)
        _, answer = training_pair(image, RULES, {}, "compact", rng, placement="canonical")
        answers.add(answer)
    (answer,) = answers
    assert parse_answer(answer, Request(HOST, RULES), "compact").key == c.key


def test_canonical_pairs_keep_rules_about_places():
    rng = np.random.default_rng(1)
    rules = Rules(defects=["V_S"], min_defects=2, max_defects=2, where={"S": "bottom"})
    for _ in range(5):
        c = random_configuration(HOST, rules, rng, 2)
        found = {
            training_pair(image, rules, {}, "compact", rng, placement="canonical")[1]
            for image in (random_member(c, rng) for _ in range(8))
        }
        (answer,) = found
        shown = parse_answer(answer, Request(HOST, rules), "compact")
        assert shown.key == c.key
        assert rules.on(HOST).as_placed(shown.changes) is None


def test_any_subset_of_properties_is_asked_for():
    rng = np.random.default_rng(0)
    c = random_configuration(HOST, RULES, rng, 2)
    values = {"homo": -5.0, "lumo": -4.0, "homo_lumo_gap": 1.0}
    seen = set()
    for _ in range(200):
        prompt, _ = training_pair(c, RULES, values, "compact", rng)
        seen.add(tuple(n for n in values if f"\n{n}: " in prompt))
    assert len(seen) == 7


def test_anchored_translates_put_a_defect_into_the_first_cell():
    rng = np.random.default_rng(0)
    for _ in range(50):
        c = random_configuration(HOST, RULES, rng)
        shown = anchored(c, rng)
        assert shown.key == c.key
        assert any((HOST.cell_index[d.site] == 0).all() for d in shown.defects)


def test_frames_keep_the_distances():
    host = get_host("MoS2", "3x3")
    rng = np.random.default_rng(2)
    assert len(lattice_rotations(host)) == 12
    assert len(lattice_rotations(get_host("BP", "3x3"))) == 4
    for _ in range(10):
        coords = random_frame(host, rng).coordinates(host)
        delta = coords[:, None] - coords[None]
        shifts = np.array([[i, j, 0] for i in (-1, 0, 1) for j in (-1, 0, 1)])
        images = (delta - np.round(delta))[:, :, None] + shifts
        shortest = np.linalg.norm(images @ host.lattice, axis=-1).min(axis=-1)
        assert np.allclose(shortest, host.distances, atol=1e-6)


def test_descriptors_are_invariant_and_label_free():
    rng = np.random.default_rng(3)
    for _ in range(20):
        c = random_configuration(HOST, RULES, rng)
        image = c.transform(HOST.symmetry[int(rng.integers(192))])
        for name, value in describe(c).items():
            assert describe(image)[name] == (
                value if isinstance(value, str) else pytest.approx(value)
            )
