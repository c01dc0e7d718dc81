"""The registry takes finished, unaltered adapters under their own names, and says why not."""

from __future__ import annotations

import shutil

import pytest

from defects.errors import ModelError
from training.manifest import CONFIG, MANIFEST, WEIGHTS, publish_adapter, unfinished_adapter
from training.registry import lineage, list_adapters, locate_adapter, verify_adapter


def publish(root, prefix="r001", weights=b"w", **facts):
    with unfinished_adapter(root) as work:
        (work / WEIGHTS).write_bytes(weights)
        (work / CONFIG).write_text("{}")
        return publish_adapter(work, root, prefix, {"metrics": {}, **facts})


def test_everything_below_a_folder_is_listed_with_its_lineage(tmp_path):
    one = publish(tmp_path / "a" / "adapters", campaign="c1", round=0, data_hash="d")
    two = publish(tmp_path / "a" / "adapters", "r002", b"v", parent=one.name, round=1)
    with unfinished_adapter(tmp_path):  # work under way is none
        found = {e.name: e.summary() for e in list_adapters(tmp_path)}
    assert set(found) == {one.name, two.name}
    assert found[two.name]["parent"] == one.name and found[two.name]["round"] == 1
    assert (found[one.name]["campaign"], found[one.name]["data_hash"]) == ("c1", "d")
    assert all(s["sound"] for s in found.values())


def _no_manifest(folder):
    (folder / MANIFEST).unlink()


def _other_weights(folder):
    (folder / WEIGHTS).write_bytes(b"x")


def _other_lineage(folder):
    path = folder / MANIFEST
    path.write_text(path.read_text().replace('"round": 3', '"round": 4'))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_manifest, "no finished adapter"),
        (_other_weights, "altered"),
        (_other_lineage, "altered"),
    ],
)
def test_unfinished_and_altered_ones_are_refused_and_marked(tmp_path, spoil, said):
    good, bad = publish(tmp_path), publish(tmp_path, "r002", b"v", round=3)
    spoil(bad.path)
    with pytest.raises(ModelError, match=said):
        verify_adapter(bad.path)
    state = {e.name: e for e in list_adapters(tmp_path)}
    assert state[good.name].sound and not state[bad.name].sound
    assert said in state[bad.name].problem and not state[bad.name].manifest


def test_a_renamed_adapter_is_refused(tmp_path):
    found = publish(tmp_path)
    other = found.path.rename(tmp_path / "r009-000000000000")
    with pytest.raises(ModelError, match="renamed"):
        verify_adapter(other)


def test_adapters_are_found_by_folder_or_name(tmp_path):
    found = publish(tmp_path / "c" / "adapters")
    assert locate_adapter(found.path, tmp_path) == found.path
    assert locate_adapter(found.name, tmp_path) == found.path
    with pytest.raises(ModelError, match="no adapter 'r001'"):
        locate_adapter("r001", tmp_path)
    shutil.copytree(found.path, tmp_path / "d" / found.name)
    with pytest.raises(ModelError, match="2 adapters"):
        locate_adapter(found.name, tmp_path)


def test_the_line_of_parents_ends_where_one_is_gone(tmp_path):
    one = publish(tmp_path, "r001", b"1", parent="r000-aaaaaaaaaaaa")
    two = publish(tmp_path, "r002", b"2", parent=one.name)
    chain = lineage(publish(tmp_path, "r003", b"3", parent=two.name), tmp_path)
    assert [c["name"] for c in chain][1:] == [two.name, one.name, "r000-aaaaaaaaaaaa"]
    assert chain[-1]["problem"] == "not found"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="no folder"):
        list_adapters(tmp_path / "nowhere")
