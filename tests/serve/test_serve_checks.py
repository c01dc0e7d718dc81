"""What is found wrong before anything starts."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from defects.errors import ModelError
from serve.app import deploy
from serve.checks import check_base_model, check_surrogate, failure_reason
from serve.cluster import choose_port
from serve.config import ServeConfig
from serve.deployments import engine_environment, resolve_device


def test_missing_and_incomplete_base_models(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        check_base_model(ServeConfig(base_model=str(tmp_path / "nope")))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no \*\.safetensors, tokenizer\.json"):
        check_base_model(ServeConfig(base_model=str(tmp_path)))
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "tokenizer.json").write_text("{}")
    check_base_model(ServeConfig(base_model=str(tmp_path)))
    check_base_model(ServeConfig(base_model="meta-llama/Llama-3.1-8B"))


def test_deploy_refuses_before_ray_starts(tmp_path):
    import ray

    with pytest.raises(ModelError, match="does not exist"):
        deploy(ServeConfig(base_model=str(tmp_path / "nope")))
    with pytest.raises(ModelError, match=r"no manifest\.json"):
        deploy(ServeConfig(surrogate=tmp_path))
    assert not ray.is_initialized()


def test_vllm_missing_says_what_to_install(tmp_path, monkeypatch):
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "vllm" else find(name)
    )
    with pytest.raises(ModelError, match=r"vllm not installed.*design-loop\[cpu\]"):
        deploy(ServeConfig(base_model=str(tmp_path)))


def test_unfinished_surrogates(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        check_surrogate(tmp_path / "nope")
    (tmp_path / "manifest.json").write_text("{}")
    assert check_surrogate(tmp_path) == tmp_path.resolve()


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ModelError, match=str(port)):
            choose_port("127.0.0.1", port)
    assert choose_port("127.0.0.1", 0) > 0


def test_failure_reason_is_the_exception_line():
    text = "The deployment failed to start 1 times:\nTraceback\n  File x\nValueError: bad dtype\n"
    assert failure_reason(text) == "ValueError: bad dtype"
    more = "RuntimeError: no engine: 1 validation error\n  Value error, bad architecture\n"
    assert "bad architecture" in failure_reason(more)
    assert failure_reason("") == "unknown reason"


def test_engine_environment_keeps_local_models_offline(tmp_path):
    local = engine_environment(ServeConfig(base_model=str(tmp_path)), "cpu")
    hub = engine_environment(ServeConfig(base_model="some/model"), "gpu")
    assert local["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in hub
    assert local["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "OMP_NUM_THREADS" not in hub


def test_device_can_be_forced():
    assert resolve_device(ServeConfig(base_model="some/model", device="gpu")) == "gpu"
    assert resolve_device(ServeConfig(base_model="some/model", device="cpu")) == "cpu"
