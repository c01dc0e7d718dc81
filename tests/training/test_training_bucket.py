"""Checkpoints of Ray Train in a bucket: moto's S3 server on loopback."""

from __future__ import annotations

import logging
import threading

import pytest

from training.examples import Example
from training.lora import AdapterSpec, LoraHyperparameters, Resources, train_adapter
from training.sources import JsonlSource, write_examples

from tiny_language_model import digit_examples, write_tiny_base  # isort: skip

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch):
    """An S3 client of an empty bucket, its address in the environment."""
    server_module = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    for name, value in {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="runs")
    yield s3
    server.stop()


def test_checkpoints_go_to_the_bucket_and_are_gone_when_the_adapter_is_there(bucket, tmp_path):
    base = write_tiny_base(tmp_path / "base")
    examples: list[Example] = digit_examples(60, 1)
    write_examples(examples, tmp_path / "train.jsonl")
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            found = bucket.list_objects_v2(Bucket="runs").get("Contents", ())
            seen.update(item["Key"] for item in found)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        result = train_adapter(
            AdapterSpec(
                base=str(base),
                source=JsonlSource(str(tmp_path / "train.jsonl")),
                root=tmp_path / "adapters",
                hyperparameters=LoraHyperparameters(epochs=1000, max_steps=12, batch_size=16),
            ),
            # A checkpoint after every step.
            Resources(threads=1, checkpoint_seconds=1e-3, storage="s3://runs/campaign"),
        )
    finally:
        over.set()
        watcher.join()
    assert result.metrics["steps"] == 12
    kept = [key for key in seen if key.startswith("campaign/") and key.endswith("state.pt")]
    assert len(kept) >= 2
    assert any(key.endswith("adapter_model.safetensors") for key in seen)
    # What is left is a mark of the folder.
    left = [item["Key"] for item in bucket.list_objects_v2(Bucket="runs").get("Contents", ())]
    assert [key for key in left if "checkpoint" in key or result.name[:8] in key] == []
    assert {p.name for p in (tmp_path / "adapters").iterdir()} == {result.name}
