"""Campaign files: rules of places, seeds from CIF files, and what a selection may ask for."""

from __future__ import annotations

import logging

import pytest
from campaign_files import changed

from defects.configuration import Configuration
from defects.hosts import get_host
from defects.structures import to_structure
from design_loop.config import CampaignFileError, load_campaign, parse_campaign

VALUE = {"property": "homo_lumo_gap", "value": 0.8}


def refused(text: str) -> str:
    with pytest.raises(CampaignFileError) as caught:
        parse_campaign(text)
    return str(caught.value)


@pytest.fixture
def load(tmp_path):
    def read(**changes):
        path = tmp_path / "campaign.yaml"
        path.write_text(changed(**changes))
        return load_campaign(path)

    return read


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"selection__strategy": "ehvi"}, "selection.strategy: ehvi improves goals and values"),
        ({"selection__strategy": "best"}, "selection.strategy: 'best' is not known"),
        ({"selection__exploration": 0.01}, "0.01 of 12 calls is none; write 0, or budget: 100"),
        ({"selection__exploration": 1.5}, "selection.exploration"),
        ({"selection__out_of_domain": "explore"}, "write exploration: 0.2"),
        ({"rules__counts": {"V_Se": 1}}, "counts: V_Se is not among the allowed defects"),
        ({"targets__0": {**VALUE, "reference": 1}}, "reference goes with a goal"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, words):
    assert words in refused(changed(**changes))


def test_strategies_with_what_they_need_are_taken():
    config = parse_campaign(
        changed(targets__0=VALUE, selection__strategy="ehvi", selection__exploration=0.25,
                selection__out_of_domain="explore")
    )  # fmt: skip
    assert (config.selection.strategy, config.selection.exploration) == ("ehvi", 0.25)
    assert parse_campaign(config.to_yaml()) == config


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"where": {"S": "Mo0"}}, "campaign.yaml:12: rules.where: Mo0 is no sublattice of S"),
        ({"frozen": ["S1 9 9"]}, "has no site 'S1 9 9'"),
        ({"min_defects": 4, "min_separation": 9}, "loosen min_separation"),
        ({"seeds": ["none.cif"]}, "none.cif: cannot be read (No such file or directory)"),
    ],
)
def test_rules_that_the_host_cannot_meet_are_refused_with_their_line(load, rules, words):
    with pytest.raises(CampaignFileError) as caught:
        load(**{f"rules__{name}": value for name, value in rules.items()})
    assert words in str(caught.value)


def test_a_seed_from_a_cif_file_is_kept_by_its_content(load, tmp_path, caplog):
    host = get_host("MoS2", "4x4")
    seed = Configuration.from_changes(host, {20: "VAC", 3: "W"})
    to_structure(seed).to(str(tmp_path / "divacancy.cif"), fmt="cif")
    with caplog.at_level(logging.ERROR):
        config = load(rules__seeds=["divacancy.cif", "S1 0 0 Se"], rules__max_defects=4)
    assert config.rules.seeds == ("Mo0 0 3 W; S1 1 0 VAC", "S1 0 0 Se")
    assert config.rules.violation(seed) is None
    to_structure(Configuration(host, ())).to(str(tmp_path / "pristine.cif"), fmt="cif")
    with pytest.raises(CampaignFileError, match="pristine host, no seed"):
        load(rules__seeds=["pristine.cif"])
