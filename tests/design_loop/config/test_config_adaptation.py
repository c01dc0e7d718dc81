"""Mistakes in the settings that adapt are answered before anything starts."""

from __future__ import annotations

import pytest

from design_loop.config import CampaignFileError, parse_campaign
from design_loop.config.loading import preset_path


def _campaign(generation: str):
    text = preset_path("quickstart").read_text()
    assert "\ngeneration:\n" in text
    return parse_campaign(text.replace("\ngeneration:\n", f"\ngeneration:\n{generation}"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("  adapt: {temperature: [1.6, 0.7]}\n", "1.6 is above 0.7; write the lower bound first"),
        ("  adapt: {top_p: [0.5, 1.5]}\n", "must be at most 1"),
        ("  adapt: {enabled: true, arms: 40}\n", "40 settings need 78 prompts"),
        ("  adapt: {enabled: true, arms: 2}\n", "at least 3"),
        ("  adapt: {jitter: [0, 1]}\n", "unknown key"),
        ("  collapse: {fraction: 1.5}\n", "must be below 1"),
    ],
)
def test_contradictions_are_told_with_what_to_write(section, said):
    with pytest.raises(CampaignFileError, match="generation") as error:
        _campaign(section)
    assert said in str(error.value)


def test_bounds_come_back_as_they_were_written():
    config = _campaign("  adapt: {enabled: true, temperature: [0.9, 1.3]}\n")
    assert config.generation.adapt.temperature == (0.9, 1.3)
    assert parse_campaign(config.to_yaml()).generation == config.generation
