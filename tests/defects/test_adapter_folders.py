"""What makes an adapter's folder whole, by the manifest alone and with all files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from defects.adapter_folders import (
    ADAPTER,
    CONFIG,
    WEIGHTS,
    base_folder_hash,
    check_manifest,
    content_hash,
    read_whole,
)
from defects.errors import ModelError
from defects.folders import MANIFEST, file_hashes


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    (work / WEIGHTS).write_bytes(b"weights")
    (work / CONFIG).write_text("{}")
    digest = content_hash(file_hashes(work))
    ADAPTER.finish(work, {"name": f"r001-{digest[:12]}", "hash": digest})
    return work.rename(tmp_path / f"r001-{digest[:12]}")


def test_the_manifest_is_judged_without_the_files_and_the_folder_with_them(adapter: Path) -> None:
    manifest = json.loads((adapter / MANIFEST).read_text())
    assert check_manifest(manifest, adapter) == read_whole(adapter) == manifest
    (adapter / WEIGHTS).write_bytes(b"other")
    assert check_manifest(manifest, adapter) == manifest
    with pytest.raises(ModelError, match=f"{WEIGHTS} was altered"):
        read_whole(adapter)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hash": "0" * 64}, "was altered"),
        ({"hash": 7}, "was altered"),
        ({"hash": None}, "was altered"),
        ({"name": None}, "was altered"),
        ({"name": "r001"}, "does not end in the hash"),
        ({"name": "R001-0123456789ab"}, "does not end in the hash"),
        ({"files": {CONFIG: "0" * 64}}, "was altered"),
        ({"files": [WEIGHTS, CONFIG]}, "not readable"),
    ],
)
def test_a_sealed_manifest_may_still_be_none(adapter: Path, change: dict, said: str) -> None:
    manifest = json.loads((adapter / MANIFEST).read_text()) | change
    manifest["seal"] = ADAPTER.seal(manifest)
    with pytest.raises(ModelError, match=said):
        check_manifest(manifest, adapter)


@pytest.mark.parametrize("content", [None, [], "x", 3, {}, {"kind": "adapter"}])
def test_other_json_is_no_manifest(tmp_path: Path, content: object) -> None:
    with pytest.raises(ModelError, match="not readable as a manifest"):
        check_manifest(content, tmp_path)


def test_the_hash_of_a_base_model_is_of_what_decides_about_answers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    (tmp_path / "README.md").write_text("a card")
    parts = (("config.json", b"{}"), ("model.safetensors", b"abc"))
    lines = "".join(f"{name}:{hashlib.sha256(data).hexdigest()}\n" for name, data in parts)
    assert base_folder_hash(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "tokenizer.json").write_text("{}")
    assert base_folder_hash(tmp_path) != hashlib.sha256(lines.encode()).hexdigest()
