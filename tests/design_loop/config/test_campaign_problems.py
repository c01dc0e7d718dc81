"""A wrong file is refused with file, line, and what to write instead; all problems at once."""

from __future__ import annotations

import pytest
import yaml
from campaign_files import VALID, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from design_loop.config import CampaignConfig, CampaignFileError, parse_campaign
from design_loop.config.marks import parse_yaml


def problems(text: str) -> list[str]:
    with pytest.raises(CampaignFileError) as caught:
        parse_campaign(text, "my.yaml")
    head, *lines = str(caught.value).splitlines()
    assert head.startswith("my.yaml: ")
    assert "nothing was started" in head
    assert len(lines) == len(caught.value.problems)
    return lines


def only(text: str) -> str:
    (line,) = problems(text)
    return line


MANY = """\
name: x
rondus: 3
host: {name: MoS2}
rules:
  defects: [V_S]
  min_defects: 8
  max_defects: 3
targets:
  - {property: homo_lumo_gap, value: 1.0, tolerance: 0}
  - {property: homo_lumo_gap, min: 2, max: 1}
dataset: xtb-mos2-4x4
generation:
  temprature: 3
  samples: ten
selection:
  quantile: 1.5
"""


def test_all_problems_come_together_in_the_order_of_the_lines():
    assert [line.split(": ")[:2] for line in problems(MANY)] == [
        ["my.yaml:2", "rondus"],
        ["my.yaml:4", "rules"],
        ["my.yaml:9", "targets[0].tolerance"],
        ["my.yaml:10", "targets[1]"],
        ["my.yaml:13", "generation.temprature"],
        ["my.yaml:14", "generation.samples"],
        ["my.yaml:16", "selection.quantile"],
    ]


def test_a_contradiction_is_found_beside_a_wrong_section():
    """A typo in one section does not hide that two others do not fit together."""
    found = problems(changed(selection__budget=1000, rules__maximum=3))
    assert any("selection.budget: 1000 is more than the 48" in line for line in found)
    assert any("rules.maximum: unknown key" in line for line in found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rondus": 3}, "rondus: unknown key; did you mean 'rounds'?"),
        ({"budget": 3}, "budget: unknown key; write it as selection.budget"),
        ({"generation__rank": 3}, "generation.rank: unknown key; write it as adapter.rank"),
        ({"oracle__zzz": 1}, "oracle.zzz: unknown key; there is cpus_per_call, custom_resources"),
        ({"name": None}, "my.yaml:1: name: is missing (name of the campaign)"),
        ({"host__name": None, "host__supercell": "4x4"}, "my.yaml:2: host.name: is missing"),
        ({"rounds": 0}, "rounds: must be at least 1, not 0 (rounds after the preparation)"),
        ({"rounds": 2.5}, "rounds: must be a whole number, not 2.5"),
        ({"rounds": "many"}, "rounds: must be a whole number, not 'many'"),
        ({"rounds": True}, "my.yaml:17: rounds: must be a whole number, not True (rounds after"),
        ({"selection__budget": True}, "selection.budget: must be a whole number, not True"),
        ({"rules__max_defects": True}, "rules.max_defects: must be a whole number, not True"),
        ({"targets__0__min": False}, "targets[0].min: must be a number, not False"),
        ({"oracle__cpus_per_call": True}, "oracle.cpus_per_call: must be a number, not True"),
        ({"selection__max_std": {"homo_lumo_gap": True}}, "max_std.homo_lumo_gap: must be a num"),
        ({"seed": -1}, "seed: must be at least 0, not -1"),
        ({"name": "a/b"}, "name: 'a/b': use letters, digits"),
        ({"host": "MoS2"}, "host: must be a mapping with the keys name, supercell, not 'MoS2'"),
        ({"host__supercell": "4by4"}, "'4by4' is not of the form 4x4"),
        ({"host__supercell": 4}, "write the repetitions of the unit cell, such as 4x4"),
        ({"host__supercell": "0x4"}, "every repetition must be between 1 and 64"),
        ({"rules__defects": []}, "rules.defects: is empty"),
        ({"rules__defects": ["S vacancy"]}, "write V_S for a vacancy of S"),
        ({"rules__min_defects": 7}, "rules: min_defects 7 is above max_defects 6"),
        ({"targets": []}, "targets: is empty"),
        ({"targets__0__max": 0.1}, "targets[0]: min 0.6 is above max 0.1; swap them"),
        ({"targets__0": "gap"}, "targets[0]: target 'gap': write property=1.10"),
        (
            {"targets__0__goal": "minimise"},
            "targets[0].goal: 'minimise' is not known; did you mean",
        ),
        ({"targets__0__tolerance": -1}, "targets[0].tolerance: must be above 0, not -1"),
        ({"targets__0__min": float("nan")}, "targets[0].min: must be a finite number"),
        ({"targets__0": {"property": "homo_lumo_gap", "max": -0.5}}, "a gap is never negative"),
        ({"generation__format": "ful"}, "'ful' is not known; did you mean 'full'?"),
        ({"generation__temperature": 0}, "makes all samples of a prompt equal"),
        ({"generation__per_prompt": 500}, "500 is more than samples; write 192 or less"),
        ({"generation__top_p": 0}, "top_p: must be above 0, not 0"),
        ({"selection__budget": 49}, "write 48 or less, or generation.samples: 196"),
        ({"selection__max_std": {"homo": 0.1}}, "selection.max_std.homo: is not predicted"),
        ({"surrogate__properties": ["homo"]}, "surrogate.properties: add homo_lumo_gap"),
        ({"oracle__kind": "none"}, "oracle.kind: without an oracle nothing is verified"),
        ({"oracle__kind": "dft"}, "'dft' is not known; there is ase, external, none, table, xtb"),
        ({"resources": {"ray_address": "auto", "cpus": 4}}, "remove one of both"),
        ({"resources": {"cpus": 2, "train_workers": 4}}, "asks for 4 CPUs, resources.cpus is 2"),
        ({"learn__use_unverified": "perhaps"}, "must be true or false, not 'perhaps'"),
    ],
)
def test_problem_is_named(changes, message):
    text = changed(**changes)
    assert any(message in line for line in problems(text)), problems(text)


def test_true_and_false_are_taken_where_they_belong():
    settings = {"relax": True}
    text = changed(oracle={"kind": "xtb", "settings": settings}, learn__last_round=False)
    config = parse_campaign(text)
    assert (config.oracle.settings, config.learn.last_round) == (settings, False)


def test_one_property_has_one_target():
    two = [{"property": "homo", "min": -11}, {"property": "homo", "max": -9}]
    assert "homo already has target 0; write one target, a range" in only(changed(targets=two))


@pytest.mark.parametrize(
    ("homo", "lumo", "gap", "message"),
    [
        ((-9, -8), (-11, -10), None, "lumo would lie below homo"),
        ((-10, -9), (-8, -7), (4, 5), "give a gap of 1 to 3 eV"),
        ((-10, -9), (-8, -7), (0, 0.5), "give a gap of 1 to 3 eV"),
        ((-10, -9), (-8, -7), (2, 5), None),
        ((-10, -9), (-8, -7), None, None),
    ],
)
def test_levels_and_gap_have_to_fit(homo, lumo, gap, message):
    names = {"homo": homo, "lumo": lumo, "homo_lumo_gap": gap}
    targets = [
        {"property": name, "min": bounds[0], "max": bounds[1]}
        for name, bounds in names.items()
        if bounds
    ]
    if message is None:
        assert len(parse_campaign(changed(targets=targets)).targets) == len(targets)
    else:
        assert message in only(changed(targets=targets))


def test_without_an_oracle_the_surrogate_may_be_fed_back():
    text = changed(oracle__kind="none", learn__use_unverified=True)
    assert parse_campaign(text).oracle.kind == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.yaml: is empty; a campaign has the keys name, host"),
        ("- 1\n", "my.yaml:1: is no mapping of keys to values"),
        ("just text", "is no mapping of keys to values"),
        ("name: x\n\tseed: 1\n", "my.yaml:2: is not YAML: a tab stands where YAML wants spaces"),
        ("name: a: b\n", "my.yaml:1: is not YAML: a second ':' in one line"),
        ("name: x\n---\nname: y\n", "my.yaml:2: is not YAML: a second document begins here"),
        ("name: &a [*a]\n", "an alias that contains itself"),
        ("name: !!python/object/apply:os.getcwd []\n", "python/object/apply:os.getcwd is not"),
        ("name: !!python/name:os.system x\n", "could not determine a constructor for the tag"),
        ("? [a]\n: 1\n", "a key must be a word"),
        ("name: 'x\n", "is not YAML: found unexpected end of stream"),
        ("name: x\n# \x07\n", "my.yaml:2: is not YAML: it holds the character"),
        ("name: 2026-02-31\n", "is not YAML: day is out of range"),
    ],
)
def test_what_is_no_campaign_file_is_named(text, message):
    assert message in only(text)


def test_a_key_given_twice_is_refused_with_both_lines():
    found = problems(changed() + "dataset: other\n")
    assert found == ["my.yaml:17: dataset: is given twice, first in line 16; remove one"]


def test_aliases_are_taken_but_not_without_end():
    text = "a: &a [1, 1]\n"
    for upper, lower in zip("bcdefghijklmnopq", "abcdefghijklmnop", strict=True):
        text += f"{upper}: &{upper} [{', '.join([f'*{lower}'] * 9)}]\n"
    document = parse_yaml(text)
    assert document.data is None
    assert "far too many" in document.problems[0][1].message
    assert parse_yaml("a: &a [1]\nb: *a\n").data == {"a": [1], "b": [1]}


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_escapes_the_reader(text):
    with pytest.raises(CampaignFileError):
        parse_campaign(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_SECTIONS = st.sampled_from(sorted(CampaignConfig.model_fields))


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(_SECTIONS, _JSON))
def test_no_value_escapes_the_schema(data):
    """Whatever stands in a section: a problem with its place, never another exception."""
    try:
        parse_campaign(yaml.safe_dump(VALID | data))
    except CampaignFileError as error:
        assert all(problem.message for problem in error.problems)
