"""``design-loop adapter list | show | verify``, and what all of ``adapter`` refuses."""

from __future__ import annotations

import shutil

import pytest

from training.manifest import CONFIG, WEIGHTS, publish_adapter, unfinished_adapter


@pytest.fixture
def adapters(tmp_path):
    """A sound adapter and one whose weights were altered."""
    found = []
    for round_, weights in enumerate((b"a", b"b")):
        with unfinished_adapter(tmp_path) as work:
            (work / WEIGHTS).write_bytes(weights)
            (work / CONFIG).write_text("{}")
            facts = {"metrics": {"steps": 3}, "campaign": "c", "round": round_, "parent": None}
            found.append(publish_adapter(work, tmp_path, f"r00{round_}", facts))
    (found[1].path / WEIGHTS).write_bytes(b"c")
    return found


def test_list_marks_what_is_refused(cli, adapters, tmp_path):
    told = cli("adapter", "list", tmp_path, "--format", "json")
    assert told.code == 1
    assert {e["name"]: e["sound"] for e in told.json} == {
        adapters[0].name: True,
        adapters[1].name: False,
    }
    text = cli("adapter", "list", tmp_path)
    assert "refused" in text.out and adapters[0].name in text.out


def test_show_and_verify_by_name_and_folder(cli, adapters, tmp_path):
    told = cli("adapter", "show", adapters[0].name, "--root", tmp_path, "--format", "json")
    assert told.code == 0 and told.json["manifest"]["round"] == 0
    assert told.json["lineage"][0]["name"] == adapters[0].name
    assert "metrics.steps" in cli("adapter", "show", adapters[0].path).out
    assert cli("adapter", "verify", adapters[0].path, "--format", "json").json["sound"]


def test_an_altered_adapter_is_neither_shown_nor_verified(cli, adapters):
    for word in ("show", "verify"):
        told = cli("adapter", word, adapters[1].path)
        assert told.code == 1 and "altered" in told.err and not told.out


def test_a_folder_that_holds_one_adapter_is_as_good_as_its_own(cli, adapters, tmp_path):
    told = cli("adapter", "verify", tmp_path)
    assert told.code == 1 and "holds 2 adapters" in told.err
    shutil.rmtree(adapters[1].path)
    assert adapters[0].name in cli("adapter", "verify", tmp_path).out
    assert cli("adapter", "show", tmp_path, "--format", "json").json["path"] == str(
        adapters[0].path
    )


def test_what_is_not_there_is_answered_with_what_to_do(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    for words, code, said in (
        (("list", tmp_path / "none"), 1, "name the one that `adapter train --out`"),
        (("show", "r001", "--root", tmp_path), 1, "`design-loop adapter list ROOT` shows"),
        (("verify", tmp_path / "empty"), 1, "it has no manifest.json"),
        (("plan", "no-preset"), 2, "there is llama-3-70b, llama-3.1-8b, quickstart"),
        (("plan", "llama-3-70b", "--gpu-memory", "80"), 2, "write 80GB or 80GiB"),
    ):
        told = cli("adapter", *words)
        assert (told.code, told.out) == (code, ""), words
        assert said in told.err
        assert "Traceback" not in told.err


def test_an_empty_folder_lists_nothing(cli, tmp_path):
    told = cli("adapter", "list", tmp_path)
    assert told.code == 0 and "no adapters" in told.out
