"""Adapters in a bucket: moto's S3 server on loopback, pyarrow as in service."""

from __future__ import annotations

import json
import logging

import pytest
from sealed import edit, publish

from defects.adapter_folders import KEYS, WEIGHTS
from defects.errors import ModelError
from serve.adapters import AdapterDamagedError, AdapterNotFoundError, AdapterStore
from serve.buckets import Bucket
from serve.config import ServeConfig, load_config


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
    """Copies files of a folder, all of them by default, to a folder of its name in the bucket."""
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

    def put(folder, *files):
        for file in files or [path.name for path in folder.iterdir()]:
            key = f"adapters/{folder.name}/{file}"
            s3.put_object(Bucket="models", Key=key, Body=(folder / file).read_bytes())

    yield put
    found = s3.list_objects_v2(Bucket="models").get("Contents", ())
    for item in found:
        s3.delete_object(Bucket="models", Key=item["Key"])
    s3.delete_bucket(Bucket="models")


def test_a_finished_adapter_is_listed_and_fetched_once(bucket, tmp_path):
    made = publish(tmp_path / "made", files={KEYS: b"a\nb\n"})
    late = publish(tmp_path / "made", "r002")
    bucket(made)
    bucket(late, WEIGHTS)
    bucket(publish(tmp_path / "made", "r003").rename(tmp_path / "Bad-Name"))
    store = AdapterStore([tmp_path / "none", "s3://models/adapters"], cache=tmp_path / "cache")
    assert [a.name for a in store] == [made.name]
    adapter = store.get(made.name)
    assert (adapter.path, adapter.manifest["name"]) == (None, made.name)
    folder = store.folder(adapter)
    assert tmp_path / "cache" in folder.parents
    for path in made.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    (folder / "mark").write_text("still here")
    assert store.folder(adapter) == folder and (folder / "mark").exists()
    # What somebody did to the copy is not used: it is fetched again.
    (folder / WEIGHTS).write_bytes(b"other")
    assert store.folder(adapter) == folder
    assert (folder / WEIGHTS).read_bytes() == (made / WEIGHTS).read_bytes()
    with pytest.raises(AdapterNotFoundError):
        store.get(late.name)
    # It is found as soon as its manifest is there.
    bucket(late)
    assert store.get(late.name).name == late.name


def test_altered_and_missing_files_are_refused_and_nothing_is_kept(bucket, tmp_path):
    altered, short = (publish(tmp_path / "made", prefix) for prefix in ("r001", "r002"))
    (altered / WEIGHTS).write_bytes(b"other")
    bucket(altered)
    bucket(short, "manifest.json")
    cache = tmp_path / "cache"
    store = AdapterStore(["s3://models/adapters"], cache=cache)
    for folder, said in ((altered, rf"{WEIGHTS} was altered"), (short, "lacks adapter_")):
        with pytest.raises(AdapterDamagedError, match=said) as refused:
            store.folder(store.get(folder.name))
        assert str(tmp_path) not in str(refused.value)
    assert [p for p in cache.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("files", ["kept", None])
def test_an_altered_manifest_is_refused_until_it_is_replaced(bucket, tmp_path, files):
    folder = publish(tmp_path)
    whole = (folder / "manifest.json").read_bytes()
    edit(folder, round=7, **({} if files else {"files": None}))
    bucket(folder)
    store = AdapterStore(["s3://models/adapters"], cache=tmp_path / "cache")
    with pytest.raises(AdapterDamagedError, match=f"adapter {folder.name}: manifest.json"):
        store.get(folder.name)
    assert list(store) == []
    (folder / "manifest.json").write_bytes(whole)
    bucket(folder, "manifest.json")
    assert [a.name for a in store] == [folder.name]


def test_a_bucket_that_went_away_is_no_damaged_adapter(tmp_path):
    folder = publish(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    address = "s3://models/adapters?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    bucket = Bucket(f"{address}&access_key=test&secret_key=test", tmp_path / "cache")
    with pytest.raises(ModelError, match="cannot be read") as error:
        bucket.fetch(folder.name, manifest)
    assert not isinstance(error.value, AdapterDamagedError)


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
