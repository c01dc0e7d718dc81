"""Adapters are found by checked names, below the roots, when finished and as training left them."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from functools import partial

import pytest
from sealed import edit, publish

from defects.adapter_folders import CONFIG, KEYS, WEIGHTS, content_hash
from defects.errors import ModelError
from defects.folders import MANIFEST
from serve.adapters import (
    AdapterDamagedError,
    AdapterNameError,
    AdapterNotFoundError,
    AdapterStore,
    WrongBaseError,
    check_base,
    split_model_id,
)
from training.registry import verify_adapter


def test_finished_adapter_is_found_with_its_manifest(tmp_path):
    folder = publish(tmp_path / "a", seed=7)
    store = AdapterStore([tmp_path / "missing", tmp_path / "a"])
    adapter = store.get(folder.name)
    assert (adapter.path, adapter.manifest["seed"]) == (folder.resolve(), 7)
    assert store.folder(adapter) == folder.resolve()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc", "A", "a b", "-a", "a\n", "a\x00", "é", "x" * 129, "a:b"],
)
def test_names_that_could_be_paths_are_refused(tmp_path, name):
    with pytest.raises(AdapterNameError):
        AdapterStore([tmp_path]).get(name)


@pytest.mark.parametrize(
    "manifest",
    [None, "not json", "[" * 100_000, '{"x": "' + "y" * 1_100_000 + '"}'],
)
def test_unfinished_and_unreadable_folders_do_not_count(tmp_path, manifest):
    folder = publish(tmp_path)
    (folder / MANIFEST).unlink()
    if manifest is not None:
        (folder / MANIFEST).write_text(manifest)
    _is_none(AdapterStore([tmp_path]), folder.name)


@pytest.mark.parametrize("file", [WEIGHTS, CONFIG])
def test_a_folder_without_weights_or_configuration_does_not_count(tmp_path, file):
    folder = publish(tmp_path)
    (folder / file).unlink()
    _is_none(AdapterStore([tmp_path]), folder.name)


def _is_none(store, name):
    with pytest.raises(AdapterNotFoundError):
        store.get(name)
    assert list(store) == []


def _other_weights(folder, **how):
    (folder / WEIGHTS).write_bytes(b"other weights")
    edit(folder, **how)


def _without_files(folder):
    (folder / MANIFEST).write_text(json.dumps({"name": folder.name, "round": 1}))


def _no_mapping(folder):
    (folder / MANIFEST).write_text("[]")


def _weights_unlisted(folder):
    """Everything about it is right, but that nothing vouches for the weights."""
    files = {CONFIG: json.loads((folder / MANIFEST).read_text())["files"][CONFIG]}
    digest = content_hash(files)
    name = f"r001-{digest[:12]}"
    edit(folder, seal=True, files=files, hash=digest, name=name)
    return folder.rename(folder.with_name(name))


def _renamed(folder):
    return folder.rename(folder.with_name("r009-000000000000"))


#: What is seen as soon as the adapter is asked for or listed, without its files being read.
SPOILT = {
    "no files": (_without_files, "not readable as a manifest"),
    "no files, sealed": (partial(edit, seal=True, files=None), "not readable as a manifest"),
    "no mapping": (_no_mapping, "not readable as a manifest"),
    "weights unlisted": (_weights_unlisted, f"{MANIFEST} was altered"),
    "another fact": (partial(edit, seed=8), f"{MANIFEST} was altered"),
    "another layout": (partial(edit, seal=True, manifest_version=1), "of layout 1"),
    "a surrogate": (partial(edit, seal=True, kind="surrogate"), "no adapter here"),
    "another name": (partial(edit, seal=True, name="r001-000000000000"), "does not end in"),
    "another folder": (_renamed, "was renamed; its name is r001-"),
    "weights and hashes": (partial(_other_weights, hashes=True), f"{MANIFEST} was altered"),
    "weights, hashes, seal": (partial(_other_weights, hashes=True, seal=True), "does not end in"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
def test_one_whose_manifest_was_altered_is_refused_and_not_listed(tmp_path, caplog, spoil, said):
    folder, other = publish(tmp_path, seed=7), publish(tmp_path, "r002")
    folder = spoil(folder) or folder
    store = AdapterStore([tmp_path])
    with pytest.raises(AdapterDamagedError, match=said) as refused:
        store.get(folder.name)
    assert str(tmp_path) not in str(refused.value)
    with caplog.at_level(logging.ERROR):
        assert [a.name for a in store] == [a.name for a in store] == [other.name]
    # Who runs the server is told which folder it is, once.
    assert [str(folder) in record.message for record in caplog.records] == [True]
    with pytest.raises(ModelError, match=said):
        verify_adapter(folder)  # as the command line does


def test_altered_files_are_noticed_before_they_are_used(tmp_path):
    folder = publish(tmp_path, files={KEYS: b"0123456789abcdef\n"})
    store = AdapterStore([tmp_path])
    (folder / KEYS).write_text("")
    adapter = store.get(folder.name)
    with pytest.raises(AdapterDamagedError, match=f"{KEYS} was altered") as refused:
        store.training_keys(adapter)
    assert str(tmp_path) not in str(refused.value)
    # Also where the manifest was altered after it was read the first time.
    edit(folder, hashes=True)
    with pytest.raises(AdapterDamagedError, match=f"{MANIFEST} was altered"):
        store.folder(adapter)


def test_other_content_under_its_own_name_is_another_adapter(tmp_path):
    folder = publish(tmp_path)
    (folder / WEIGHTS).write_bytes(b"other weights")
    edit(folder, hashes=True)
    name = f"r001-{json.loads((folder / MANIFEST).read_text())['hash'][:12]}"
    edit(folder, seal=True, name=name)
    folder = folder.rename(folder.with_name(name))
    store = AdapterStore([tmp_path])
    assert store.folder(store.get(name)) == folder.resolve()


@pytest.mark.parametrize(
    ("trained", "served", "fits"),
    [
        ("a" * 64, "a" * 64, True),
        ("a" * 64, "b" * 64, False),
        ("a" * 64, None, True),
        ("hub:0123abc", "b" * 64, True),
        ("unknown", "b" * 64, True),
        (None, "b" * 64, True),
    ],
)
def test_an_adapter_of_another_base_is_refused_where_both_are_known(
    tmp_path, trained, served, fits
):
    adapter = AdapterStore([tmp_path]).get(publish(tmp_path, base_hash=trained).name)
    with nullcontext() if fits else pytest.raises(WrongBaseError, match="another base model"):
        check_base(adapter, served)


def test_links_out_of_the_root_are_not_followed(tmp_path):
    outside = publish(tmp_path / "outside", files={KEYS: b""})
    root = tmp_path / "root"
    inside = publish(root, "r002", files={KEYS: b""})
    linked = root / outside.name
    linked.symlink_to(outside)
    (inside / CONFIG).unlink()
    (inside / CONFIG).symlink_to(outside / CONFIG)
    store = AdapterStore([root])
    for name in (linked.name, inside.name):
        with pytest.raises(AdapterNotFoundError):
            store.get(name)
    assert list(store) == []
    third = publish(root, "r003", files={KEYS: b""})
    (third / KEYS).unlink()
    (third / KEYS).symlink_to(outside / KEYS)
    with pytest.raises(AdapterDamagedError, match="no plain file"):
        store.folder(store.get(third.name))


def test_an_adapter_goes_by_no_other_name(tmp_path):
    folder = publish(tmp_path)
    (tmp_path / "newest").symlink_to(folder)
    store = AdapterStore([tmp_path])
    with pytest.raises(AdapterDamagedError, match=f"adapter newest: .*its name is {folder.name}"):
        store.get("newest")
    assert [adapter.name for adapter in store] == [folder.name]


def test_a_root_that_is_itself_a_link_is_fine(tmp_path):
    name = publish(tmp_path / "real").name
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = AdapterStore([tmp_path / "link"])
    assert store.folder(store.get(name)) == (tmp_path / "real" / name).resolve()


def test_listing_is_sorted_first_root_wins_and_new_folders_appear(tmp_path):
    second = publish(tmp_path / "a", "r2", origin="a").name
    first = publish(tmp_path / "b", "r1").name
    assert publish(tmp_path / "b", "r2", origin="b").name == second
    (tmp_path / "b" / first).rename(tmp_path / "b" / "Not-A-Name")
    first = publish(tmp_path / "b", "r1").name
    store = AdapterStore([tmp_path / "a", tmp_path / "b"])
    found = [(a.name, a.manifest.get("origin")) for a in store]
    assert found == [(second, "a"), (first, None)]
    third = publish(tmp_path / "a", "r3").name
    assert third in [a.name for a in store]


def test_model_ids():
    assert split_model_id("base", "base") is None
    assert split_model_id("base:r001", "base") == "r001"
    with pytest.raises(AdapterNotFoundError):
        split_model_id("other:r001", "base")
    for bad in ("base:", "base:../../etc", "base:a:b"):
        with pytest.raises(AdapterNameError):
            split_model_id(bad, "base")
