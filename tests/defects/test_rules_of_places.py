"""Rules about where, how many and how close: against brute force and ase, and in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rules_cases import SMALL, cases, placements

from defects.configuration import Configuration
from defects.errors import RuleError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import enumerate_configurations, random_configuration

MOS2 = get_host("MoS2", "4x4")


def rules_of(**fields):
    return Rules.model_validate({"defects": ("V_S", "Se_S", "W_Mo"), **fields})


def told(changes, **fields):
    return rules_of(**fields).violation(Configuration.from_changes(MOS2, changes))


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(cases(), st.integers(0, 2**31))
def test_the_sampler_gives_what_the_rules_accept_or_says_that_nothing_meets_them(case, seed):
    host, rules = case
    rng = np.random.default_rng(seed)
    try:
        rules.validate_for(host)
    except RuleError:
        with pytest.raises(RuleError):
            random_configuration(host, rules, rng)
        return
    group = host.symmetry
    for _ in range(4):
        drawn = random_configuration(host, rules, rng)
        assert rules.on(host).as_placed(drawn.changes) is None
        # The class keeps the rules, whichever member is looked at, and its placement is found.
        image = drawn.transform(group[int(rng.integers(len(group)))])
        for member in (drawn.canonical(), image):
            assert rules.violation(member) is None
            placed = rules.place(member)
            assert placed.key == drawn.key
            assert rules.on(host).as_placed(placed.changes) is None


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(cases(SMALL[:2]))
def test_what_is_refused_is_met_by_nothing(case):
    host, rules = case
    ours = None
    try:
        ours = rules.on(host)
        rules.validate_for(host)
        feasible = True
    except RuleError:
        feasible = False
    assume(ours is not None)
    met = [c for c in placements(host, rules) if ours.as_placed(c) is None]
    assert bool(met) == feasible
    if met and rules.max_defects <= 3:
        # Every class that the rules allow is enumerated, and nothing else.
        wanted = {Configuration.from_changes(host, c).key for c in met}
        found = [
            c for n in range(rules.min_defects, rules.max_defects + 1)
            for c in enumerate_configurations(host, rules, n)
        ]  # fmt: skip
        assert {c.key for c in found} == wanted
        assert len(found) == len(wanted)
        assert all(ours.as_placed(c.changes) is None for c in found)


@settings(max_examples=40, deadline=None)
@given(cases(SMALL[:2]), st.integers(0, 10**6))
def test_a_violation_is_what_the_words_say(case, pick):
    """Each rule by itself, counted anew from the configuration."""
    host, rules = case
    try:
        ours = rules.on(host)
    except RuleError:
        assume(False)
    rng = np.random.default_rng(pick)
    options = list(rules.plain.options(host).items())
    chosen = rng.permutation(len(options))[: rng.integers(1, 5)]
    changes = {options[i][0]: str(rng.choice(options[i][1])) for i in chosen}
    c = Configuration.from_changes(host, changes)
    seeds = [d for d in ours.seeds if d.items() <= changes.items()]
    low, high = rules.number(host)
    broken = {"defects"} if not low <= len(changes) <= high else set()
    broken |= {
        "counts" for n, (few, many) in rules.counts.items() if not few <= c.counts()[n] <= many
    }
    for name, (least, most) in rules.concentration.items():
        label = [f"{host.unit_species[a]}{a}" for a in host.sublattice]
        here = [s for s in range(host.n_sites) if name in ("all", host.species[s], label[s])]
        share = len(set(here) & set(changes)) / len(here)
        if name != "all" and not least - 1e-9 <= share <= most + 1e-9:
            broken.add("concentration")
    if rules.seeds and not seeds:
        broken.add("seeds")
    found = ours.as_placed(changes)
    if broken:
        assert found is not None
        assert "defects, allowed" in found or found.split(":")[0] in broken
    elif found is not None:
        assert found.split(":")[0] in ("where", "frozen", "min_separation")


@pytest.mark.parametrize(
    ("name", "cell"), [("MoS2", "4x4"), ("MoS2", "8x1"), ("hBN", "1x7"), ("P", "5x2")]
)  # fmt: skip
def test_distances_are_those_of_ases_minimum_image(name, cell):
    from ase import Atoms

    host = get_host(name, cell)
    atoms = Atoms(host.species, cell=host.lattice, scaled_positions=host.frac_coords, pbc=(1, 1, 0))
    assert np.allclose(host.distances, atoms.get_all_distances(mic=True), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(2.5, 8.0), st.integers(0, 2**31))
def test_separations_are_kept_across_the_cells_boundary(separation, seed):
    from ase import Atoms

    atoms = Atoms(MOS2.species, cell=MOS2.lattice, scaled_positions=MOS2.frac_coords, pbc=(1, 1, 0))
    rules = rules_of(min_separation=separation, max_defects=4)
    drawn = random_configuration(MOS2, rules, np.random.default_rng(seed))
    sites = sorted(drawn.changes)
    between = atoms.get_all_distances(mic=True)[np.ix_(sites, sites)]
    assert (between[~np.eye(len(sites), dtype=bool)] >= separation - 0.02).all()
    every = rules_of(max_defects=2)
    two = random_configuration(MOS2, every, np.random.default_rng(seed), 2)
    apart = float(atoms.get_all_distances(mic=True)[tuple(sorted(two.changes))])
    assume(abs(apart - separation) > 0.05)
    assert (rules.violation(two) is None) == (apart > separation)


def test_each_rule_says_by_how_much_it_is_broken():
    s1, s2, mo = MOS2.site_of_label["S1 0 0"], MOS2.site_of_label["S1 1 0"], 0
    assert told({s1: "VAC"}) is None
    assert told({s1: "VAC", s2: "VAC"}, counts={"V_S": 1}) == (
        "counts: 2 V_S, allowed are 1 to 1 (1 too many)"
    )
    assert told({s1: "VAC", s2: "VAC"}, concentration={"S": 0.04}) == (
        "concentration: 2 defects on S, allowed are 0 to 1 (1 too many)"
    )
    assert told({mo: "W"}, concentration={"all": [0.04, 0.1]}) == "1 defects, allowed are 2 to 4"
    near = told({s1: "VAC", s2: "VAC"}, min_separation={"V_S-V_S": 5})
    assert near.startswith("min_separation: V_S on S1 0 0 and V_S on S1 1 0 are 3.1")
    assert near.endswith("asked for are 5.00 Å (1.81 Å too near)")
    assert told({s1: "VAC", s2: "Se"}, min_separation={"V_S-V_S": 5}) is None
    both = {s1: "VAC", MOS2.site_of_label["S2 0 0"]: "VAC"}
    assert told(both, where={"V_S": "S1"}).startswith("where: V_S on S2 0 0, and no equivalent")
    assert told({s1: "VAC"}, seeds=["Mo0 0 0 W"]).startswith("seeds: contains none of them (1 of")


def test_a_layer_is_a_matter_of_naming_until_something_else_tells_the_two_apart():
    """A vacancy below is a vacancy above seen from the other side; one of each is neither."""
    top = rules_of(where={"S": "top"})
    [name] = {
        n for n, z in zip("12", (1, 2), strict=True) if _height(z) == max(map(_height, (1, 2)))
    }
    above, below = MOS2.site_of_label[f"S{name} 0 0"], MOS2.site_of_label[f"S{3 - int(name)} 0 0"]
    turned = Configuration.from_changes(MOS2, {below: "VAC"})
    assert top.on(MOS2).as_placed(turned.changes) is not None
    assert top.violation(turned) is None
    [defect] = top.place(turned).defects
    assert MOS2.site_label(defect.site).startswith(f"S{name}")
    assert top.violation(Configuration.from_changes(MOS2, {above: "VAC", below: "VAC"})) is not None


def _height(atom):
    return MOS2.cart_coords[atom * MOS2.n_cells, 2]


def test_a_frozen_region_moves_with_the_crystal_but_is_never_touched_as_placed():
    rules = rules_of(frozen=[{"around": "Mo0 0 0", "within": 2.5}])
    inside = Configuration.from_changes(MOS2, {0: "W"})
    placed = rules.place(inside)
    assert placed is not None
    assert placed.changes != inside.changes
    everywhere = rules_of(frozen=list(range(MOS2.n_sites)))
    with pytest.raises(RuleError, match="only 0 sites"):
        everywhere.validate_for(MOS2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"min_defects": 5, "min_separation": 7}, "loosen min_separation"),
        ({"counts": {"W_Mo": [3, 3]}, "frozen": list(range(14))}, "loosen counts or frozen"),
        ({"where": {"S": "Mo0"}}, "no sublattice of S"),
        ({"frozen": [48]}, "no site 48"),
        ({"frozen": ["S9 0 0"]}, "no site 'S9 0 0'"),
        ({"seeds": ["S1 0 0"]}, "no changed site"),
        ({"seeds": ["S1 0 0 S"]}, "changes nothing"),
        ({"seeds": ["Mo0 0 0 VAC"]}, "V_Mo is not among"),
        ({"concentration": {"Se": 0.1}}, "MoS2 has no Se"),
        ({"concentration": {"all": 0.01}}, "no number of defects"),
    ],
)
def test_rules_that_nothing_meets_are_refused_with_the_reason(fields, words):
    with pytest.raises(RuleError, match=words):
        rules_of(**fields).validate_for(MOS2)


@pytest.mark.parametrize(
    "fields",
    [
        {"where": {"V_Se": "top"}},
        {"where": {"S": "middle"}},
        {"counts": {"V_Mo": 1}},
        {"counts": {"V_S": [2, 1]}},
        {"counts": {"V_S": [4, 4], "W_Mo": [3, 3]}},
        {"min_defects": 3, "counts": {"V_S": 0, "Se_S": 1, "W_Mo": 1}},
        {"concentration": {"everything": 0.1}},
        {"concentration": {"S": 1.5}},
        {"min_separation": {"V_S": 3}},
        {"min_separation": -1},
        {"frozen": [-1]},
        {"seeds": [""]},
    ],
)
def test_rules_that_mean_nothing_are_refused_without_a_host(fields):
    with pytest.raises(ValidationError):
        rules_of(**fields)


def test_a_share_of_all_sites_takes_the_place_of_the_default_number():
    rules = rules_of(concentration={"all": [0.02, 0.25]})
    assert rules.number(MOS2) == (1, 12)
    assert Rules.model_validate(rules.model_dump(mode="json")) == rules
    assert rules_of(concentration={"all": 0.25}, max_defects=3).number(MOS2) == (1, 3)


def test_rules_come_back_from_their_plain_data():
    rules = rules_of(
        where={"V_S": ["S1", "top"]}, counts={"W_Mo": 1}, min_separation=3,
        frozen=[3, "S1 0 0", {"around": 4, "within": 2}], seeds=["S1 1 1 VAC"],
    )  # fmt: skip
    again = Rules.model_validate_json(rules.model_dump_json())
    assert again == rules
    assert hash(again) == hash(rules)
    assert not rules.is_plain
    assert rules.plain.is_plain
