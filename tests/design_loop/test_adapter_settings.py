"""What `adapter train` trains with: a preset, options on top, the bounds of a campaign file."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from defects.errors import ConfigError
from design_loop.adapter_settings import adapter_settings, read_preset
from design_loop.adapters import SMALL_RATE, hyperparameters_of, resources_of
from design_loop.config import CampaignConfig
from design_loop.config.loading import load_preset
from training.spec import LoraHyperparameters, Resources

ALONE = {"base": "some/model", "properties": ("homo_lumo_gap",)}


def test_without_a_preset_the_defaults_are_the_published_ones():
    found = adapter_settings(None, **ALONE)
    assert found.hyperparameters == LoraHyperparameters()
    assert found.resources == Resources()
    assert (found.format, found.seed, found.ray_address) == ("compact", 0, None)
    small = adapter_settings(None, **{**ALONE, "base": "small"})
    assert small.hyperparameters.learning_rate == SMALL_RATE


@pytest.mark.parametrize("name", ["llama-3-70b", "llama-3.1-8b", "quickstart"])
def test_a_preset_trains_as_its_campaign_does(name):
    config = load_preset(name, check=False)
    found = adapter_settings(name)
    assert found.hyperparameters == hyperparameters_of(config)
    assert found.resources == resources_of(config)
    assert found.base == config.base_model
    assert found.properties == tuple(t.property for t in config.targets)
    assert (found.format, found.seed) == (config.generation.format, config.seed)
    assert found.ray_address == config.resources.ray_address


def test_options_go_before_the_preset():
    adapter = {
        "rank": 4, "schedule": "linear", "micro_tokens": 999, "length_pool": 3, "bf16": False,
        "gradient_checkpointing": False, "max_steps": 7, "epochs": None,
    }  # fmt: skip
    resources = {"train_workers": 2, "train_sharding": "ddp", "train_storage": "/shared/runs"}
    found = adapter_settings(
        "llama-3-70b", base="small", format="compact", adapter=adapter, resources=resources
    )
    preset = adapter_settings("llama-3-70b")
    said = {name: value for name, value in adapter.items() if value is not None}
    assert asdict(found.hyperparameters) == {**asdict(preset.hyperparameters), **said}
    assert (found.resources.workers, found.resources.sharding) == (2, "ddp")
    assert (found.resources.storage, found.resources.cpus) == ("/shared/runs", 4)
    assert (found.base, found.format) == ("small", "compact")


FURTHER = """
adapter: {target_modules: [q_proj, v_proj], max_length: 700}
resources: {train_checkpoint_seconds: 900, train_max_failures: 20}
"""


def test_what_a_long_run_of_a_large_base_needs_can_be_said(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nhost: {name: MoS2}\nrules: {defects: [V_S]}\ndataset: nowhere/to/be/found\n"
        "targets: ['homo_lumo_gap=1']\n" + FURTHER
    )
    found = adapter_settings(str(file))
    h, given = found.hyperparameters, found.resources
    assert (h.target_modules, h.max_length) == (("q_proj", "v_proj"), 700)
    assert (given.checkpoint_seconds, given.max_failures) == (900, 20)
    config = read_preset(str(file))
    assert (hyperparameters_of(config), resources_of(config)) == (h, given)
    # As the ledger keeps it, and reads it again.
    again = CampaignConfig.model_validate_json(config.model_dump_json())
    assert hyperparameters_of(again) == h

    said = adapter_settings(
        str(file),
        adapter={"target_modules": "all-linear", "max_length": 800},
        resources={"train_checkpoint_seconds": 30, "train_max_failures": 0},
    )
    assert (said.hyperparameters.target_modules, said.hyperparameters.max_length) == (
        "all-linear", 800,
    )  # fmt: skip
    assert (said.resources.checkpoint_seconds, said.resources.max_failures) == (30, 0)


def test_every_setting_of_the_training_can_be_said():
    """Whatever is not the default came from a key of the campaign file."""
    adapter = {
        "rank": 3, "alpha": 5, "dropout": 0.2, "target_modules": ["q_proj"], "learning_rate": 0.5,
        "schedule": "linear", "warmup": 0.3, "epochs": 2, "max_steps": 7, "max_seconds": 9,
        "batch_size": 11, "micro_tokens": 13, "bf16": True, "gradient_checkpointing": True,
        "max_length": 17, "length_pool": 19, "quantization": "4bit",
    }  # fmt: skip
    resources = {
        "train_workers": 2, "train_cpus": 3, "train_gpus": 1, "train_checkpoint_seconds": 5,
        "train_max_failures": 7, "train_storage": "/shared/runs",
    }  # fmt: skip
    found = adapter_settings(None, **ALONE, adapter=adapter, resources=resources)
    # These have no key: nobody has asked for another value yet.
    for settings, fixed in (
        (found.hyperparameters, {"final_lr", "weight_decay", "clip"}),
        (found.resources, {"threads", "sharding"}),
    ):
        default = asdict(type(settings)())
        assert {k for k, v in asdict(settings).items() if v == default[k]} == fixed


def test_a_campaign_file_is_a_preset_too(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nhost: {name: MoS2}\nrules: {defects: [V_S]}\ndataset: nowhere/to/be/found\n"
        "targets: ['homo_lumo_gap=1']\nadapter: {rank: 3, length_pool: 5}\n"
    )
    found = adapter_settings(str(file))
    assert (found.hyperparameters.rank, found.hyperparameters.length_pool) == (3, 5)
    assert found.properties == ("homo_lumo_gap",)


@pytest.mark.parametrize(
    "adapter, resources, said",
    [
        ({"rank": 0}, {}, "--rank: must be at least 1, not 0"),
        ({"dropout": 1}, {}, "--dropout: must be below 1"),
        ({"max_seconds": 0}, {}, "--max-minutes: must be above 0"),
        ({"max_length": 0}, {}, "--max-length: must be at least 1, not 0"),
        ({"target_modules": []}, {}, r"--target-module: write all-linear, or .*\[q_proj, v_proj\]"),
        ({"target_modules": ".*proj"}, {}, "--target-module: write all-linear"),
        ({"target_modules": ["q_proj", "a.b"]}, {}, "--target-module: write all-linear"),
        ({}, {"train_checkpoint_seconds": 0}, "--checkpoint-seconds: must be above 0"),
        ({}, {"train_max_failures": -1}, "--max-failures: must be at least 0"),
        ({}, {"train_workers": 5000}, "--workers: must be at most 4096"),
        ({"quantization": "4bit"}, {}, "--quantization: 4bit needs a CUDA GPU per worker; .*"
                                       "--gpus 1"),
        ({"quantization": "4bit"}, {"train_gpus": 1, "train_sharding": "fsdp"},
         "--quantization: a 4bit base is held whole by every worker; write --sharding ddp"),
    ],
)  # fmt: skip
def test_what_a_campaign_file_may_not_say_is_refused_by_the_options_name(adapter, resources, said):
    with pytest.raises(ConfigError, match=said):
        adapter_settings(None, **ALONE, adapter=adapter, resources=resources)


def test_all_problems_come_together_and_what_lacks_is_named():
    with pytest.raises(ConfigError, match=r"(?s)--rank: .*--micro-tokens: .*--gpus: "):
        adapter_settings(
            None, **ALONE, adapter={"rank": 0, "micro_tokens": 0}, resources={"train_gpus": -1}
        )
    with pytest.raises(ConfigError, match="--base and --property missing"):
        adapter_settings(None)
    with pytest.raises(ConfigError, match=r"did you mean 'llama-3\.1-8b'"):
        adapter_settings("llama-3.1-8")
