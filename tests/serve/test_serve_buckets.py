"""Adapters in a bucket: moto's S3 server on loopback, pyarrow as in service."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest

from defects.errors import ModelError
from serve.adapters import AdapterDamagedError, AdapterNotFoundError, AdapterStore
from serve.buckets import Bucket
from serve.config import ServeConfig, load_config

FILES = {
    "adapter_model.safetensors": b"weights",
    "adapter_config.json": b"{}",
    "training_keys.txt": b"a\nb\n",
}


def test_an_address_is_a_root_and_a_folder_is_a_path(tmp_path):
    (tmp_path / "serve.yaml").write_text("base_model: m\nadapter_roots: [s3://b/adapters, here]\n")
    config = load_config(tmp_path / "serve.yaml")
    assert config.adapter_roots == ("s3://b/adapters", tmp_path / "here")
    # As it travels to the replicas.
    assert ServeConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("root", ["http://x/y", "s3://", "ftp://a", "s3:///?region=x"])
def test_other_addresses_are_refused(root):
    with pytest.raises(ValueError, match=r"s3://|names no bucket"):
        ServeConfig(base_model="m", adapter_roots=(root,))


@pytest.fixture(scope="module")
def server():
    """Address of an S3 server, which knows nothing of AWS."""
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="models")

    def put(name, files=FILES, manifest=True):
        for file, content in files.items():
            s3.put_object(Bucket="models", Key=f"adapters/{name}/{file}", Body=content)
        if manifest:
            hashes = {f: hashlib.sha256(c).hexdigest() for f, c in FILES.items()}
            text = json.dumps({"name": name, "files": hashes}).encode()
            s3.put_object(Bucket="models", Key=f"adapters/{name}/manifest.json", Body=text)

    yield put
    found = s3.list_objects_v2(Bucket="models").get("Contents", ())
    for item in found:
        s3.delete_object(Bucket="models", Key=item["Key"])
    s3.delete_bucket(Bucket="models")


def test_a_finished_adapter_is_listed_and_fetched_once(bucket, tmp_path):
    bucket("r001-abc")
    bucket("r002-def", manifest=False)
    bucket("Bad-Name")
    store = AdapterStore([tmp_path / "none", "s3://models/adapters"], cache=tmp_path / "cache")
    assert [a.name for a in store] == ["r001-abc"]
    adapter = store.get("r001-abc")
    assert (adapter.path, adapter.manifest["name"]) == (None, "r001-abc")
    folder = store.folder(adapter)
    assert {p.name: p.read_bytes() for p in folder.iterdir()}.items() >= FILES.items()
    (folder / "mark").write_text("still here")
    assert store.folder(adapter) == folder and (folder / "mark").exists()
    with pytest.raises(AdapterNotFoundError):
        store.get("r002-def")
    # It is found as soon as its manifest is there.
    bucket("r002-def")
    assert store.get("r002-def").name == "r002-def"


def test_an_altered_file_is_refused_and_nothing_is_kept(bucket, tmp_path):
    bucket("r001-abc", {**FILES, "adapter_model.safetensors": b"other"})
    store = AdapterStore(["s3://models/adapters"], cache=tmp_path)
    with pytest.raises(AdapterDamagedError, match=r"adapter_model\.safetensors was altered"):
        store.folder(store.get("r001-abc"))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_bucket_that_is_not_there_is_an_empty_root(bucket, tmp_path):
    store = AdapterStore(["s3://nobody/adapters"], cache=tmp_path)
    assert list(store) == []
    with pytest.raises(AdapterNotFoundError):
        store.get("r001-abc")


def test_a_server_that_does_not_answer_is_told_in_a_line(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    address = "s3://models/adapters?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    with pytest.raises(ModelError, match="cannot be read") as error:
        Bucket(address, tmp_path).manifest("r001-abc")
    assert "\n" not in str(error.value)


def test_google_cloud_storage_is_opened_by_address(tmp_path):
    # There is no server of it here: what is checked is that the address gives that file system.
    from pyarrow.fs import GcsFileSystem

    address = "gs://anonymous@models/adapters?endpoint_override=127.0.0.1:9&scheme=http"
    bucket = Bucket(f"{address}&retry_limit_seconds=0.5", tmp_path)
    system, root = bucket._open()
    assert isinstance(system, GcsFileSystem) and root == "models/adapters"
    with pytest.raises(ModelError, match="cannot be read"):
        bucket.manifest("r001-abc")
