"""What a campaign file makes of the server's settings."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from design_loop.campaign.services import serve_config, start_services
from design_loop.config.loading import load_preset
from serve.names import AppNames


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


def test_a_campaigns_models_have_names_of_their_own_in_a_cluster(monkeypatch, tmp_path):
    given = []

    def deploy(config, tell, *, owner):
        given.append(AppNames(owner))
        return SimpleNamespace(base_url="http://127.0.0.1:1")

    monkeypatch.setattr("serve.app.deploy", deploy)
    config = load_preset("quickstart", check=False)
    for campaign in ("mos2-gap-20261121-c7k2", "mos2-gap-20261121-c7k3"):
        start_services(config, tmp_path / campaign, print).client.close()
    first, second = given
    assert first.owner == "campaign-mos2-gap-20261121-c7k2"
    assert not {*first.all, first.route} & {*second.all, second.route}
