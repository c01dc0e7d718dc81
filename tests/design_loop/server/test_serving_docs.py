"""What docs/serving.md says of the configuration, against the schema."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import BaseModel

from design_loop.server.settings import SECTION, CampaignsSettings, load_server
from serve.config import Autoscaling, EngineConfig, Limits, LoraSettings, ServeConfig

TEXT = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_configurations_shown_are_ones(tmp_path):
    shown = {}
    for block in BLOCKS:
        shown |= yaml.safe_load(block)
    file = tmp_path / "serve.yaml"
    file.write_text(yaml.safe_dump(shown))
    settings = load_server(file)
    assert settings.serve.autoscaling.max_replicas == 4
    assert settings.campaigns.max_running == 1


def test_every_setting_is_named():
    schemas: tuple[type[BaseModel], ...] = (
        ServeConfig, EngineConfig, LoraSettings, Autoscaling, Limits, CampaignsSettings,
    )  # fmt: skip
    missing = {
        f"{schema.__name__}.{name}"
        for schema in schemas
        for name in schema.model_fields
        if not re.search(rf"\b{name}\b", TEXT)
    }
    assert missing == set()


def test_limits_are_shown_with_their_defaults():
    shown = {}
    for block in BLOCKS:
        shown |= yaml.safe_load(block)
    assert Limits(**shown["limits"]) == Limits()
    assert LoraSettings(**shown["lora"]) == LoraSettings()
    named = CampaignsSettings(**shown[SECTION])
    for name in ("max_running", "max_rounds", "max_samples", "max_budget", "max_download_bytes"):
        assert getattr(named, name) == getattr(CampaignsSettings(), name)
