"""Serve configuration: bounds, contradictions, files."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from defects.errors import ConfigError
from serve.app import deploy
from serve.config import ServeConfig, load_config, load_sections


def test_defaults_bind_loopback_and_a_free_port():
    config = ServeConfig(base_model="some/model")
    assert (config.host, config.port, config.base_id) == ("127.0.0.1", 0, "base")


@pytest.mark.parametrize(
    "change, part",
    [
        ({"host": "0.0.0.0"}, "loopback"),
        ({"port": 70000}, "port"),
        ({"base_id": "a:b"}, "base_id"),
        ({"unknown": 1}, "unknown"),
        ({"lora": {"max_lora_rank": 7}}, "max_lora_rank"),
        ({"lora": {"max_loras": 4, "max_cpu_loras": 2}}, "max_cpu_loras"),
        ({"device": "cpu", "engine": {"tensor_parallel_size": 2}}, "tensor_parallel_size"),
        ({"limits": {"max_queued_requests": 0}}, "max_queued_requests"),
        ({"autoscaling": {"min_replicas": 3, "max_replicas": 2}}, "min_replicas"),
        ({"autoscaling": {"target_ongoing_requests": 32}}, "autoscaling.target_ongoing_requests"),
        (
            {"engine": {"speculative_tokens": 15, "max_batched_tokens": 2048}},
            "max_batched_tokens must be at least",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_name(change, part):
    with pytest.raises(ValidationError, match=part):
        ServeConfig.model_validate({"base_model": "some/model", **change})


def test_relative_folders_are_taken_from_the_file(tmp_path):
    (tmp_path / "model").mkdir()
    file = tmp_path / "serve.yaml"
    file.write_text("base_model: model\nadapter_roots: [adapters]\nsurrogate: s\nport: 8123\n")
    config = load_config(file)
    assert config.base_model == str(tmp_path / "model")
    assert config.adapter_roots == (tmp_path / "adapters",)
    assert config.surrogate == tmp_path / "s"
    assert config.base_is_local


def test_hub_names_stay_names(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text("base_model: meta-llama/Llama-3.1-8B\n")
    config = load_config(file)
    assert config.base_model == "meta-llama/Llama-3.1-8B"
    assert not config.base_is_local


@pytest.mark.parametrize(
    "text, part",
    [
        ("base_model: m\nprot: 1\n", "prot"),
        ("- a\n", "mapping"),
        ("a: [", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_bad_files_name_the_problem(tmp_path, text, part):
    file = tmp_path / "serve.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=part):
        load_config(file)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")
    most: int = Field(default=1, ge=1)


def test_sections_of_others_are_read_with_the_file(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text("base_model: m\nmore: {most: 3}\nempty:\n")
    config, sections = load_sections(file, {"more": _Section, "empty": _Section, "none": _Section})
    assert config.base_model == "m"
    assert sections == {"more": _Section(most=3), "empty": _Section()}
    file.write_text("prot: 1\nmore: {most: 0, moist: 2}\n")
    with pytest.raises(ConfigError) as failed:
        load_sections(file, {"more": _Section})
    assert all(part in str(failed.value) for part in ("prot", "more.most", "more.moist"))


def test_nothing_to_serve_is_refused():
    with pytest.raises(ConfigError, match="nothing to serve"):
        deploy(ServeConfig())


def test_missing_file():
    with pytest.raises(ConfigError, match="cannot read"):
        load_config("no/such/file.yaml")


def test_light_modules_import_nothing_heavy():
    code = (
        "import sys, serve.config, serve.adapters, serve.client, serve.schemas, serve.app\n"
        "heavy = {'ray', 'vllm', 'torch', 'transformers', 'catboost', 'fastapi', 'pymatgen'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
