"""What a campaign file makes of the server's settings."""

from __future__ import annotations

import pytest

from design_loop.campaign.services import serve_config
from design_loop.config.loading import load_preset


@pytest.mark.parametrize(
    "fmt, serving, guessed",
    [
        ("compact", {}, 0),
        ("full", {}, 15),
        ("full", {"engine": {"speculative_tokens": 0}}, 0),
        ("full", {"engine": {"kv_cache_gib": 0.5}}, 15),
    ],
)
def test_the_full_format_speculates_unless_told_otherwise(tmp_path, fmt, serving, guessed):
    config = load_preset("quickstart", check=False)
    config = config.model_copy(
        update={
            "generation": config.generation.model_copy(update={"format": fmt}),
            "serving": serving,
        }
    )
    assert serve_config(config, tmp_path).engine.speculative_tokens == guessed
