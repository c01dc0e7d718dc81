"""The commands that train and sample, for real and small."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from defects.configuration import Configuration

pytestmark = pytest.mark.slow


def _design_loop(*words, timeout):
    """In a process of its own: Ray, vLLM and torch end with it."""
    done = subprocess.run(
        [sys.executable, "-m", "design_loop.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.timeout(600)
def test_a_base_model_is_trained_and_an_adapter_fits_it(tmp_path):
    base = tmp_path / "base"
    told = _design_loop("base", "train", "--out", base, "--max-steps", 2, "--format", "json",
                        timeout=300)  # fmt: skip
    assert json.loads(told.stdout)["step"] == 2
    assert (base / "model.safetensors").is_file()
    assert "Writing model shards" not in told.stderr


@pytest.mark.timeout(1200)
def test_adapter_train_then_generate(tmp_path):
    """The way from a dataset to samples outside of a campaign."""
    told = _design_loop(
        "adapter", "train", "--data", "xtb-mos2-4x4", "--base", "small", "--property",
        "homo_lumo_gap", "--out", tmp_path / "adapter", "--max-steps", 2, timeout=600,
    )  # fmt: skip
    folder = told.stdout.partition(": ")[0]
    manifest = json.loads((tmp_path / "adapter" / folder / "manifest.json").read_text())
    assert manifest["properties"] == ["homo_lumo_gap"]
    assert manifest["rules"]["max_defects"] == 6
    out = tmp_path / "samples.jsonl"
    told = _design_loop(
        "generate", "--base", "small", "--adapter", tmp_path / "adapter", "--host", "MoS2",
        "--supercell", "4x4", "--target", "homo_lumo_gap=0.8", "--num", 10, "--out", out,
        timeout=600,
    )  # fmt: skip
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["index"] for row in rows] == list(range(10))
    assert {row["adapter"] for row in rows} == {manifest["name"]}
    for row in rows:
        assert row["asked"] == {"homo_lumo_gap": pytest.approx(0.8)}
        assert row["ok"] == (row["reason"] is None)
        if row["ok"]:
            assert Configuration.from_dict(row["configuration"]).key == row["key"]
    assert "10 samples" in told.stdout
