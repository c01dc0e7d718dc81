"""Every kind of damage is found, with its file and row, and reading refuses it."""

from __future__ import annotations

import csv
import gzip
import io
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from defects.datasets import Dataset, check_dataset, describe, read_dataset, write_dataset
from defects.datasets.archive import pack_structures, read_structures
from defects.errors import DatasetError

Rows = list[dict[str, str]]


def edit(path: Path, change: Callable[[Rows], Rows | None]) -> None:
    """Change the rows of a CSV file."""
    zipped = path.suffix == ".gz"
    data = path.read_bytes()
    text = (gzip.decompress(data) if zipped else data).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    columns = list(rows[0])
    rows = change(rows) or rows
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(out.getvalue().encode()) if zipped else out.getvalue().encode())


def set_cell(row: int, column: str, value: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[row][column] = value

    return change


def structures(folder: Path) -> dict[str, str]:
    return dict(item for item in read_structures(folder) if isinstance(item, tuple))


def cut(path: Path, part: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])


def test_a_sound_dataset_has_no_problems(folder: Path) -> None:
    assert check_dataset(folder) == []
    assert check_dataset("xtb-mos2-4x4") == []


@pytest.mark.parametrize("name", ["defects.csv.gz", "targets.csv.gz"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.98])
def test_truncated_tables(folder: Path, name: str, part: float) -> None:
    cut(folder / name, part)
    with pytest.raises(DatasetError, match=rf"{name}.*fetch the file again"):
        read_dataset(folder)
    (problem,) = check_dataset(folder)
    assert problem.severity == "error" and name in str(problem)


@pytest.mark.parametrize("part", [0.0, 0.4, 0.9])
def test_truncated_structures(folder: Path, part: float) -> None:
    cut(folder / "initial.tar.gz", part)
    with pytest.raises(DatasetError, match=r"initial\.tar\.gz: truncated .* after \d+ structures"):
        read_dataset(folder)
    # One error for all the rows that the cut took, not one each.
    (problem,) = check_dataset(folder)
    assert (problem.severity, problem.file) == ("error", "initial.tar.gz")


def test_structures_cut_anywhere_are_one_error_with_advice(folder: Path) -> None:
    """Of the 12 structures; `tarfile` alone takes a cut before or in a header for the end."""
    whole = (folder / "initial.tar.gz").read_bytes()
    for end in (*range(0, len(whole), len(whole) // 20), len(whole) - 8, len(whole) - 1):
        (folder / "initial.tar.gz").write_bytes(whole[:end])
        (problem,) = check_dataset(folder)
        assert re.search(
            r"truncated .*; fetch it again \(\d+ rows lack their s", problem.message
        ), end


@pytest.mark.parametrize("blocks", [0, 1, 2, 7, 8])
def test_a_plain_archive_cut_at_a_block_is_one_error(folder: Path, blocks: int) -> None:
    tar = gzip.decompress((folder / "initial.tar.gz").read_bytes())
    (folder / "initial.tar.gz").unlink()
    (folder / "initial.tar").write_bytes(tar)
    assert check_dataset(folder) == []
    with tarfile.open(folder / "initial.tar") as opened:
        first = opened.getmembers()[1].offset
    (folder / "initial.tar").write_bytes(tar[: blocks * 512 if blocks < 8 else first])
    (problem,) = check_dataset(folder)
    assert problem.file == "initial.tar" and "fetch it again" in problem.message


def test_a_cut_that_leaves_whole_gzip_but_half_a_row(folder: Path) -> None:
    text = gzip.decompress((folder / "defects.csv.gz").read_bytes())
    (folder / "defects.csv.gz").write_bytes(gzip.compress(text[: text.rindex(b",")]))
    with pytest.raises(DatasetError, match=r"row 13: \d+ cells, the header has"):
        read_dataset(folder)


def test_missing_structure_and_structure_without_row(folder: Path, few: Dataset) -> None:
    texts = structures(folder)
    texts["stranger"] = texts.pop(few.records[3].id)
    (folder / "initial.tar.gz").write_bytes(pack_structures(texts))
    problems = check_dataset(folder)
    found = {(p.severity, p.file, p.row) for p in problems}
    assert found == {("error", "defects.csv.gz", 5), ("warning", "initial.tar.gz", None)}
    with pytest.raises(DatasetError, match=rf"row 5.*{few.records[3].id}\.cif is missing"):
        read_dataset(folder)


@pytest.mark.parametrize("value", ["nan", "inf", "n/a"])
def test_labels_that_are_no_numbers(folder: Path, value: str) -> None:
    edit(folder / "targets.csv.gz", set_cell(2, "homo", value))
    problems = check_dataset(folder)
    assert [(p.file, p.row) for p in problems] == [("targets.csv.gz", 4)]
    assert "homo" in problems[0].message
    with pytest.raises(DatasetError, match=r"targets\.csv\.gz, row 4"):
        read_dataset(folder)


def test_extra_columns_are_taken_where_they_are_numbers(folder: Path) -> None:
    text = gzip.decompress((folder / "defects.csv.gz").read_bytes()).decode()
    lines = text.splitlines()
    values = ["total_mag", *(["", "2.0", "yes"][i % 3] for i in range(len(lines) - 1))]
    table = "\n".join(f"{line},{v}" for line, v in zip(lines, values, strict=True)) + "\n"
    (folder / "defects.csv.gz").write_bytes(gzip.compress(table.encode()))
    dataset = read_dataset(folder)
    assert [r.properties.get("total_mag") for r in dataset][:3] == [None, 2.0, None]


def test_duplicate_ids(folder: Path, few: Dataset) -> None:
    edit(folder / "defects.csv.gz", lambda rows: [*rows, rows[1]])
    (problem,) = check_dataset(folder)
    assert problem.row == 14 and f"{few.records[1].id} is already in row 3" in problem.message


def test_contradicting_tables_and_unknown_ids(folder: Path) -> None:
    edit(folder / "defects.csv.gz", set_cell(0, "energy", "-4000.0"))
    problems = check_dataset(folder)
    assert any("-4000" in p.message and p.row == 2 for p in problems)
    edit(folder / "targets.csv.gz", set_cell(5, "_id", "nobody"))
    assert any(
        "nobody is not in defects" in p.message and p.row == 7 for p in check_dataset(folder)
    )


def test_energies_that_contradict_each_other(folder: Path) -> None:
    edit(folder / "targets.csv.gz", set_cell(6, "formation_energy", "12.5"))
    problems = check_dataset(folder)
    assert {(p.file, p.row) for p in problems} == {("targets.csv.gz", 8)}
    assert any("formation_energy is 12.5" in p.message for p in problems)
    assert any("formation_energy_per_site" in p.message for p in problems)


def test_wrong_potentials_show_as_contradiction(folder: Path) -> None:
    edit(folder / "elements.csv", set_cell(1, "chemical_potential", "-4.127"))
    assert any("formation_energy" in p.message for p in check_dataset(folder))


def test_equivalent_structures_are_named_with_their_difference(
    few: Dataset, tmp_path: Path
) -> None:
    host = few.host
    first = few.records[0]
    image = first.configuration.transform(host.symmetry[17])
    assert image != first.configuration
    shifted = {**first.properties, "homo_lumo_gap": first.properties["homo_lumo_gap"] + 1e-3}
    twin = replace(first, id="twin", configuration=image, properties=shifted)
    write_dataset(replace(few, records=(*few.records, twin)), tmp_path)
    (problem,) = check_dataset(tmp_path)
    assert problem.severity == "warning" and problem.row == 14
    assert f"equivalent under symmetry to {first.id} (row 2)" in problem.message
    assert "0.001" in problem.message


def test_a_structure_of_another_host(folder: Path, few: Dataset) -> None:
    texts = structures(folder)
    victim = few.records[2].id
    lines = texts[victim].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  Mo  "))
    lines[start] = lines[start].replace("0.25000000", "0.32000000")
    texts[victim] = "\n".join(lines)
    (folder / "initial.tar.gz").write_bytes(pack_structures(texts))
    (problem,) = check_dataset(folder)
    assert (problem.file, problem.row) == ("defects.csv.gz", 4)
    assert "from site Mo0" in problem.message


def test_structures_that_were_swapped(folder: Path, few: Dataset) -> None:
    texts = structures(folder)
    a, b = (
        r.id
        for r in (
            next(r for r in few if "V_Mo" in r.configuration.description),
            next(r for r in few if "V_Mo" not in r.configuration.description),
        )
    )
    texts[a], texts[b] = texts[b], texts[a]
    (folder / "initial.tar.gz").write_bytes(pack_structures(texts))
    messages = [p.message for p in check_dataset(folder) if p.severity == "error"]
    assert any(a in m and "descriptor" in m for m in messages)
    assert any(b in m and "descriptor" in m for m in messages)


def test_several_hosts_are_refused_and_can_be_chosen(folder: Path, few: Dataset) -> None:
    other = "[5, 5, 1]"
    edit(folder / "descriptors.csv", set_cell(0, "cell", other))
    with pytest.raises(DatasetError, match=r"several hosts.*MoS2-5x5x1 \(\d+ rows\)"):
        read_dataset(folder)
    kept = read_dataset(folder, host="MoS2-4x4x1")
    assert 0 < len(kept) < len(few)
    with pytest.raises(DatasetError, match="no host WSe2-4x4x1"):
        read_dataset(folder, host="WSe2-4x4x1")


def test_missing_files_say_what_is_missing(folder: Path) -> None:
    shutil.rmtree(folder / "unit_cells")
    assert read_dataset(folder).host.key == "MoS2-4x4x1"  # built in
    assert [p.severity for p in check_dataset(folder)] == ["warning"]
    (folder / "initial.tar.gz").unlink()
    with pytest.raises(DatasetError, match=r"initial\.tar\.gz: missing"):
        read_dataset(folder)
    (folder / "descriptors.csv").unlink()
    with pytest.raises(DatasetError, match=r"no descriptors\.csv"):
        read_dataset(folder)
    assert "no dataset" in str(check_dataset(folder / "nowhere")[0])


def test_describe(few: Dataset, folder: Path) -> None:
    facts = describe(folder)
    assert facts["host"] == "MoS2-4x4x1" and facts["structures"] == 12 == facts["classes"]
    gaps = [r.properties["homo_lumo_gap"] for r in few]
    assert facts["properties"]["homo_lumo_gap"]["mean"] == pytest.approx(sum(gaps) / 12)
    assert facts["properties"]["homo_lumo_gap"]["unit"] == "eV"
    assert sum(facts["n_defects"].values()) == 12
    assert facts["defects"]["V_S"] == sum("V_S" in r.configuration.description for r in few)
