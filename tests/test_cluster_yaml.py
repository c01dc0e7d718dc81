"""cluster.yaml as Ray itself reads it, and what must not be left to Ray's defaults."""

from __future__ import annotations

import re

import pytest
import yaml


@pytest.fixture(scope="module")
def cluster(root):
    return yaml.safe_load((root / "cluster.yaml").read_text())


@pytest.fixture(scope="module")
def prepared(cluster):
    pytest.importorskip("ray")
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(cluster)
    validate_config(config)
    return config


def test_ray_accepts_the_file_and_knows_every_key(prepared, cluster):
    assert prepared["cluster_name"] == "design-loop"
    assert set(cluster) <= set(prepared)


def test_a_wrong_key_would_be_refused(cluster):
    """The check above can fail at all."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(Exception, match="idle_timeout"):
        validate_config(prepare_config({**cluster, "idle_timeout_minutes": "soon"}))


def test_head_is_on_demand_and_workers_are_spot(prepared):
    types = prepared["available_node_types"]
    head = types.pop(prepared["head_node_type"])
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["max_workers"] == 0
    assert types
    for name, node in types.items():
        assert node["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot", name
        assert node["max_workers"] > 0, name


def test_images_are_named(prepared):
    """Ray's default image is too old for the pinned wheels."""
    for node in prepared["available_node_types"].values():
        assert "ubuntu" in node["node_config"]["ImageId"]


def test_bad_defaults_are_overridden(prepared):
    assert prepared["provider"]["cache_stopped_nodes"] is False
    assert prepared["idle_timeout_minutes"] >= 20
    commands = [c for key, value in prepared.items() if key.endswith("commands") for c in value]
    assert not [c for c in commands if "0.0.0.0" in c or "wheels/latest" in c or "nightly" in c]
    [start] = [c for c in prepared["head_start_ray_commands"] if "ray start" in c]
    assert "--dashboard-host=127.0.0.1" in start


def test_setup_installs_what_the_project_pins(prepared, root):
    setup = "\n".join(prepared["setup_commands"])
    named = re.findall(r"~/design-loop/(requirements/\S+)", setup)
    assert set(named) == {"requirements/uv.txt", "requirements/gpu.txt"}
    assert all((root / name).is_file() for name in named)
    assert "design-loop[gpu,postgres]" in setup
    assert "--require-hashes" in setup
