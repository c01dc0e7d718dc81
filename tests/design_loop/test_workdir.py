"""The work folder is made, or refused with what to do."""

from __future__ import annotations

import errno
import os

import pytest

from design_loop.workdir import WorkdirError, make_workdir


def test_it_is_made_and_left_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert make_workdir("a/b") == tmp_path / "a" / "b" == make_workdir(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_its_place_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkdirError, match=r"it is a file|Not a directory") as error:
        make_workdir(tmp_path / name)
    assert "--workdir" in str(error.value) and "\n" not in str(error.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # Rights do not stop root, who runs tests in containers.
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(WorkdirError, match="Read-only file system"):
        make_workdir(tmp_path)
