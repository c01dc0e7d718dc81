"""Adapters are published whole, and refused when altered or unfinished."""

from __future__ import annotations

import json

import pytest

from defects.errors import ModelError
from training.manifest import (
    CONFIG,
    MANIFEST,
    WEIGHTS,
    find_adapter,
    publish_adapter,
    read_adapter,
    unfinished_adapter,
)


def publish(root, weights=b"weights", prefix="r001", **content):
    with unfinished_adapter(root) as work:
        (work / WEIGHTS).write_bytes(weights)
        (work / CONFIG).write_text("{}")
        return publish_adapter(work, root, prefix, {"metrics": {"steps": 3}, **content})


def test_published_folder_is_complete_and_named_by_its_content(tmp_path) -> None:
    result = publish(tmp_path, fingerprint="f", format="compact")
    assert result.path == tmp_path / result.name
    assert result.name == f"r001-{result.manifest['hash'][:12]}"
    assert read_adapter(result.path).metrics == {"steps": 3}
    assert [p.name for p in tmp_path.iterdir()] == [result.name]
    assert publish(tmp_path, weights=b"other").name != result.name


def test_the_same_content_twice_is_one_adapter(tmp_path) -> None:
    first = publish(tmp_path)
    written = (first.path / MANIFEST).stat().st_mtime_ns
    assert publish(tmp_path).path == first.path
    assert (first.path / MANIFEST).stat().st_mtime_ns == written


def test_nothing_is_left_when_publishing_fails(tmp_path) -> None:
    with pytest.raises(ModelError, match=WEIGHTS), unfinished_adapter(tmp_path) as work:
        (work / CONFIG).write_text("{}")
        publish_adapter(work, tmp_path, "r001", {})
    assert list(tmp_path.iterdir()) == []


def test_unfinished_is_refused(tmp_path) -> None:
    result = publish(tmp_path)
    (result.path / MANIFEST).unlink()
    with pytest.raises(ModelError, match="no finished adapter"):
        read_adapter(result.path)
    with pytest.raises(ModelError, match="no adapter folder"):
        read_adapter(tmp_path / "nowhere")


@pytest.mark.parametrize("file", [WEIGHTS, CONFIG])
def test_altered_files_are_refused(tmp_path, file) -> None:
    result = publish(tmp_path)
    with (result.path / file).open("ab") as f:
        f.write(b" ")
    with pytest.raises(ModelError, match=f"{file} was altered"):
        read_adapter(result.path)


def test_missing_files_are_refused(tmp_path) -> None:
    result = publish(tmp_path)
    (result.path / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=f"lacks {WEIGHTS}"):
        read_adapter(result.path)


@pytest.mark.parametrize(
    "change",
    [
        {"files": {WEIGHTS: "0" * 64, CONFIG: "0" * 64}},
        {"files": {}},
        {"hash": "0" * 64},
        {"kind": "surrogate"},
        {"manifest_version": 99},
        {"metrics": {"steps": 4}},
        {"round": 7},
        {"seal": None},
    ],
)
def test_altered_manifests_are_refused(tmp_path, change) -> None:
    result = publish(tmp_path)
    path = result.path / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=r"altered|no adapter here"):
        read_adapter(result.path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "adapter"', "\x00"])
def test_unreadable_manifests_are_refused(tmp_path, text) -> None:
    result = publish(tmp_path)
    (result.path / MANIFEST).write_text(text)
    with pytest.raises(ModelError, match="manifest"):
        read_adapter(result.path)


def test_a_finished_adapter_of_a_spec_is_found_again(tmp_path) -> None:
    publish(tmp_path, weights=b"a", fingerprint="one")
    wanted = publish(tmp_path, weights=b"b", fingerprint="two")
    assert find_adapter(tmp_path, "r001", "two").path == wanted.path
    assert find_adapter(tmp_path, "r002", "two") is None
    assert find_adapter(tmp_path, "r001", "three") is None
    (wanted.path / WEIGHTS).write_bytes(b"c")
    assert find_adapter(tmp_path, "r001", "two") is None
