"""Adapters are found by checked names, below the roots, when finished."""

from __future__ import annotations

import json

import pytest

from serve.adapters import (
    AdapterNameError,
    AdapterNotFoundError,
    AdapterStore,
    split_model_id,
)


def make(folder, *, manifest='{"seed": 1}', weights=True):
    folder.mkdir(parents=True)
    if weights:
        (folder / "adapter_model.safetensors").write_bytes(b"x")
        (folder / "adapter_config.json").write_text("{}")
    if manifest is not None:
        (folder / "manifest.json").write_text(manifest)
    return folder


def test_finished_adapter_is_found_with_its_manifest(tmp_path):
    folder = make(tmp_path / "a" / "r001-abc", manifest=json.dumps({"seed": 7}))
    adapter = AdapterStore([tmp_path / "missing", tmp_path / "a"]).get("r001-abc")
    assert (adapter.path, adapter.manifest) == (folder.resolve(), {"seed": 7})


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc", "A", "a b", "-a", "a\n", "a\x00", "é", "x" * 129, "a:b"],
)
def test_names_that_could_be_paths_are_refused(tmp_path, name):
    with pytest.raises(AdapterNameError):
        AdapterStore([tmp_path]).get(name)


@pytest.mark.parametrize(
    "options",
    [
        {"manifest": None},
        {"weights": False},
        {"manifest": "not json"},
        {"manifest": "[]"},
        {"manifest": '{"x": "' + "y" * 1_100_000 + '"}'},
    ],
)
def test_unfinished_or_damaged_folders_do_not_count(tmp_path, options):
    make(tmp_path / "r001", **options)
    store = AdapterStore([tmp_path])
    with pytest.raises(AdapterNotFoundError):
        store.get("r001")
    assert list(store) == []


def test_links_out_of_the_root_are_not_followed(tmp_path):
    outside = make(tmp_path / "outside" / "secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(outside)
    inside = make(root / "inside")
    (inside / "adapter_config.json").unlink()
    (inside / "adapter_config.json").symlink_to(outside / "adapter_config.json")
    store = AdapterStore([root])
    for name in ("linked", "inside"):
        with pytest.raises(AdapterNotFoundError):
            store.get(name)
    assert list(store) == []


def test_a_root_that_is_itself_a_link_is_fine(tmp_path):
    make(tmp_path / "real" / "r1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert AdapterStore([tmp_path / "link"]).get("r1").name == "r1"


def test_listing_is_sorted_first_root_wins_and_new_folders_appear(tmp_path):
    make(tmp_path / "a" / "r2", manifest='{"from": "a"}')
    make(tmp_path / "b" / "r1")
    make(tmp_path / "b" / "r2", manifest='{"from": "b"}')
    make(tmp_path / "b" / "Not-A-Name")
    store = AdapterStore([tmp_path / "a", tmp_path / "b"])
    assert [(a.name, a.manifest.get("from")) for a in store] == [("r2", "a"), ("r1", None)]
    make(tmp_path / "a" / "r3")
    assert "r3" in [a.name for a in store]


def test_model_ids():
    assert split_model_id("base", "base") is None
    assert split_model_id("base:r001", "base") == "r001"
    with pytest.raises(AdapterNotFoundError):
        split_model_id("other:r001", "base")
    for bad in ("base:", "base:../../etc", "base:a:b"):
        with pytest.raises(AdapterNameError):
            split_model_id(bad, "base")
