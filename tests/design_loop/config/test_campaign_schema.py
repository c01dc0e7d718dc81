"""The schema: what it takes, what it refuses, and that it comes back as it was."""

from __future__ import annotations

import json

import pytest
from campaign_files import changed
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from design_loop.config import CampaignConfig, CampaignFileError, parse_campaign


def test_defaults_are_the_published_ones():
    config = parse_campaign(changed())
    adapter, generation = config.adapter, config.generation
    assert (adapter.rank, adapter.alpha, adapter.dropout) == (8, 32, 0.05)
    assert (adapter.learning_rate, adapter.schedule, adapter.epochs) == (1e-4, "cosine", 10)
    assert (generation.temperature, generation.top_p) == (1.0, None)
    assert config.selection.quantile == 0.25
    assert config.learn.use_unverified is False
    assert config.generation.format == "compact"


def test_a_campaign_comes_back_from_its_own_yaml_and_json():
    config = parse_campaign(changed(targets__0={"property": "homo_lumo_gap", "value": 1.0}))
    assert parse_campaign(config.to_yaml()) == config
    stored = json.loads(json.dumps(config.model_dump(mode="json")))
    assert CampaignConfig.model_validate(stored) == config


def test_targets_may_be_written_as_on_the_command_line():
    short = parse_campaign(changed(targets__0="homo_lumo_gap=0.6..0.9"))
    assert short.targets == parse_campaign(changed()).targets


def test_numbers_with_an_exponent_are_numbers():
    """YAML 1.1 reads 1e-4 as text; everybody writes it."""
    text = changed() + "adapter: {learning_rate: 1e-4}\noracle: {settings: {accuracy: 1E-2}}\n"
    config = parse_campaign(text)
    assert config.adapter.learning_rate == 1e-4
    assert config.oracle.settings == {"accuracy": 0.01}


def test_content_hash_follows_every_setting_and_nothing_else():
    config = parse_campaign(changed())
    assert parse_campaign("# a comment\n" + changed(rounds=3)).content_hash == config.content_hash
    assert parse_campaign(changed(rounds=4)).content_hash != config.content_hash
    assert parse_campaign(changed(oracle__settings={"a": 1})).content_hash != config.content_hash


def test_the_surrogate_predicts_what_the_targets_name():
    more = {"property": "formation_energy_per_site", "max": 0.4}
    config = parse_campaign(changed(targets=[{"property": "homo", "max": -9}, more]))
    assert config.surrogate_properties == ("homo", "formation_energy_per_site")
    wider = parse_campaign(changed(surrogate__properties=["homo_lumo_gap", "homo"]))
    assert wider.surrogate_properties == ("homo_lumo_gap", "homo")


def test_a_contradiction_is_refused_outside_files_too():
    data = parse_campaign(changed()).model_dump(mode="json")
    data["selection"]["budget"] = 1000
    with pytest.raises(ValidationError, match=r"selection\.budget: 1000 is more than the 48"):
        CampaignConfig.model_validate(data)


def test_a_config_does_not_change():
    config = parse_campaign(changed())
    with pytest.raises(ValidationError, match="frozen"):
        config.rounds = 5


def test_every_field_says_what_it_is():
    def fields(model):
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", field
            inner = getattr(field.annotation, "model_fields", None)
            if inner:
                yield from fields(field.annotation)

    lacking = [name for name, field in fields(CampaignConfig) if not field.description]
    sections = "proposer generation adapter surrogate selection oracle learn tracking resources"
    inner = {"GenerationConfig.adapt", "GenerationConfig.collapse"}
    assert set(lacking) == {f"CampaignConfig.{section}" for section in sections.split()} | inner


@settings(deadline=None)  # a busy machine is no error
@given(
    rounds=st.integers(1, 10_000),
    samples=st.integers(1, 10_000),
    quantile=st.floats(0.01, 1),
    low=st.floats(0, 5),
    width=st.floats(0, 5),
)
def test_whatever_is_accepted_comes_back(rounds, samples, quantile, low, width):
    text = changed(
        rounds=rounds,
        generation__samples=samples,
        generation__per_prompt=1,
        selection__quantile=quantile,
        selection__budget=1,
        targets__0={"property": "homo_lumo_gap", "min": low, "max": low + width},
    )
    try:
        config = parse_campaign(text)
    except CampaignFileError as error:
        assert "budget" in str(error)
        assert quantile * samples < 1
    else:
        assert quantile * samples >= 1
        assert parse_campaign(config.to_yaml()) == config


def test_a_campaign_may_name_any_kind_of_surrogate():
    from defects.surrogates.kinds import KINDS

    for kind in ("auto", *KINDS):
        assert parse_campaign(changed(surrogate__kind=kind)).surrogate.kind == kind
    with pytest.raises(CampaignFileError, match="unknown kind of surrogate 'x': give auto, trees"):
        parse_campaign(changed(surrogate__kind="x"))


def test_a_proposer_has_its_own_settings_only():
    config = parse_campaign(changed(proposer={"kind": "genetic", "population": 64}))
    assert config.proposer.population == 64
    assert config.model_dump()["proposer"] == {
        "kind": "genetic",
        "population": 64,
        "mutation": 0.5,
        "screen": 1,
    }
    assert parse_campaign(config.to_yaml()) == config
    assert parse_campaign(changed()).proposer.needs_model
    for kind in ("random", "tpe", "gibbs", "nearest"):
        assert not parse_campaign(changed(proposer={"kind": kind})).proposer.needs_model


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "random", "population": 9}, "a setting of genetic, not of random; remove it"),
        ({"kind": "gentic"}, "did you mean 'genetic'"),
        ({"kind": "genetic", "population": 2}, "must be at least 4, not 2"),
        ({"kind": "gibbs", "beta_start": 3}, "above beta_end 2"),
    ],
)
def test_a_wrong_proposer_is_refused_with_its_line(section, message):
    with pytest.raises(CampaignFileError, match=message) as error:
        parse_campaign(changed(proposer=section))
    assert "proposer" in str(error.value)
