"""Finished folders: what a manifest vouches for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from defects.errors import ModelError
from defects.folders import MANIFEST, FolderKind, file_hash, file_hashes, unfinished_folder

KIND = FolderKind("probe", "layout", 3, "seal", 20, "make probe")


def finished(parent: Path, **content: object) -> Path:
    with unfinished_folder(parent, ".probe.") as work:
        (work / "part").mkdir()
        (work / "part" / "a.bin").write_bytes(b"abc")
        (work / "b.txt").write_text("b")
        KIND.finish(work, content)
        return work.rename(parent / "done")


def edit(folder: Path, **change: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text()) | change
    manifest["seal"] = KIND.seal(manifest)  # as somebody would who knows how
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_finished_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = finished(tmp_path, figures=(1, 2))
    manifest = KIND.read(folder)
    # SHA-256 of "abc" as in the standard (FIPS 180-2, appendix B.1).
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest["files"]["part/a.bin"] == known == file_hash(folder / "part/a.bin")
    assert (manifest["kind"], manifest["layout"], manifest["figures"]) == ("probe", 3, [1, 2])
    assert len(manifest["seal"]) == 20
    assert file_hashes(folder) == manifest["files"]
    assert folder.stat().st_mode & 0o777 == 0o755
    assert [p.name for p in tmp_path.iterdir()] == ["done"]


def test_nothing_is_left_of_what_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), unfinished_folder(tmp_path / "new", ".x.") as work:
        (work / "half").write_text("half")
        raise ZeroDivisionError
    assert list((tmp_path / "new").iterdir()) == []


def test_what_was_altered_is_refused(tmp_path: Path) -> None:
    folder = finished(tmp_path, figures=[1])
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"figures": [\n  1', '"figures": [\n  2'))
    with pytest.raises(ModelError, match=rf"{MANIFEST} was altered since the probe"):
        KIND.read(folder)
    (folder / MANIFEST).write_text(text)
    (folder / "part/a.bin").write_bytes(b"abd")
    with pytest.raises(ModelError, match=r"part/a\.bin was altered"):
        KIND.read(folder)
    (folder / "part/a.bin").unlink()
    with pytest.raises(ModelError, match=r"lacks part/a\.bin"):
        KIND.read(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "part/../../outside"])
def test_files_outside_are_refused(tmp_path: Path, name: str) -> None:
    folder = finished(tmp_path)
    (tmp_path / "outside").write_text("")
    edit(folder, files={name: file_hash(tmp_path / "outside")})
    with pytest.raises(ModelError, match="lacks"):
        KIND.read(folder)


@pytest.mark.parametrize("change", [{"kind": "other"}, {"layout": 2}, {"layout": None}])
def test_other_kinds_and_layouts_are_refused(tmp_path: Path, change: dict) -> None:
    folder = finished(tmp_path)
    edit(folder, **change)
    with pytest.raises(ModelError, match=r"no probe here \(layout 3\)"):
        KIND.read(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "probe"}', '{"kind": "pro', "\0"])
def test_unreadable_manifests_are_refused(tmp_path: Path, text: str) -> None:
    folder = finished(tmp_path)
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ModelError, match="not readable as a manifest"):
        KIND.read(folder)


def test_missing_and_unfinished_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="make one with `make probe`"):
        KIND.read(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no finished probe"):
        KIND.read(tmp_path)
