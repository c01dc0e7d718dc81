"""A user's own property from the campaign file to the instructions, the labels and the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quick_services import QuickServices, write_campaign
from rich.console import Console

from defects.datasets import resolve_dataset
from defects.oracles import make_oracle
from design_loop.campaign import driver
from design_loop.campaign.context import load_data
from design_loop.config import CampaignFileError, load_campaign
from design_loop.ledger import Ledger, Source
from design_loop.progress import SilentProgress
from design_loop.tables import candidates_table

OWN = """\
properties:
  mid_gap:
    unit: eV
    decimals: 2
    function: tests.design_loop.campaign.own_functions:mid_gap
    from_labels: true
"""


def _file(folder: Path, own: str = OWN, target: str = "mid_gap, min: -10.6, max: -10.2") -> Path:
    path = write_campaign(folder)
    text = path.read_text().replace("homo_lumo_gap, min: 0.5, max: 1.1", target)
    path.write_text(text + own)
    return path


@pytest.mark.slow
def test_a_campaign_for_an_own_property(tmp_path):
    """Instructions, prompts, surrogate, labels, ranking and tables all know it."""
    prompts: list[str] = []

    def services(config, campaign, tell):
        made = QuickServices(campaign, config)
        sample = made.sample
        made.sample = lambda texts, adapter, **how: (  # type: ignore[method-assign]
            prompts.extend(texts), sample(texts, adapter, **how)
        )[1]  # fmt: skip
        return made

    config = load_campaign(_file(tmp_path))
    store = str(tmp_path / "runs" / "ledger.sqlite")
    summary = driver.start(config, tmp_path / "runs", store, SilentProgress(), services)
    with Ledger(store, create=False) as ledger:
        labels = ledger.labels(summary.campaign.id, Source.ORACLE)
        adapters = ledger.adapters(summary.campaign.id)
        predictions = ledger.predictions(summary.campaign.id)
    assert labels
    for label in labels:
        p = label.properties
        assert p["mid_gap"] == pytest.approx((p["homo"] + p["lumo"]) / 2)
    assert {name for _, p in predictions for name in p.mean} == {"mid_gap"}
    [line] = {
        text.partition(" ")[0] for p in prompts for text in p.splitlines() if "mid_gap" in text
    }
    assert line == "mid_gap:"
    assert all(
        text.split()[2] == "eV" and len(text.split()[1].partition(".")[2]) == 2
        for p in prompts for text in p.splitlines() if text.startswith("mid_gap")
    )  # fmt: skip
    file = tmp_path / "runs" / summary.campaign.id / "instructions" / "r000.jsonl"
    rows = [json.loads(text) for text in file.read_text().splitlines()[1:]]
    assert rows and all(set(row["properties"]) == {"mid_gap"} for row in rows)
    assert adapters[-1].manifest["own_properties"] == {"mid_gap": {"unit": "eV", "decimals": 2}}
    with Console(width=120, record=True, file=(tmp_path / "table").open("w")) as console:
        console.print(candidates_table(summary))
    shown = console.export_text()
    assert "mid_gap" in shown and "(eV)" in shown
    assert summary.candidates[0].meets


def test_training_texts_name_the_property_as_prompts_do(tmp_path):
    from training.instructions import Instruction as Row
    from training.instructions import InstructionSource, write_instructions

    config = load_campaign(_file(tmp_path))
    data = load_data(config)
    assert all("mid_gap" in r.properties for r in data if r.properties)
    rows = [Row(r.configuration, {"mid_gap": r.properties["mid_gap"]}) for r in data.records[:3]]
    path = tmp_path / "i.jsonl"
    write_instructions(path, data.host, config.rules, rows)
    source = InstructionSource(str(path), "compact", ("mid_gap",), own=config.own_properties)
    for example, row in zip(source(0, 1), rows, strict=True):
        assert f"mid_gap: {row.properties['mid_gap']:.2f} eV\n" in example.prompt


def test_the_small_model_can_read_any_name():
    """Names that its vocabulary does not hold are spelled, and spelled back the same."""
    from training.vocabulary import small_tokenizer

    tokenizer = small_tokenizer([])
    text = "polarisability_xx2: 12.50 e/Å\n"
    tokens = tokenizer(text)["input_ids"]
    assert tokenizer.decode(tokens, skip_special_tokens=True) == text
    assert tokenizer.unk_token_id not in tokens


@pytest.mark.parametrize(
    ("own", "target", "message"),
    [
        ("properties: {homo: {unit: eV}}", None, "homo is a standard property; choose another"),
        ("properties: {defect_count: {}}", None, "choose another name (taken are energy, "),
        ("properties: {Mid-Gap: {}}", None, "small letters, digits and underscores"),
        (
            OWN.replace(":mid_gap", ":mid_gapp"),
            None,
            "own_functions:mid_gapp cannot be imported",
        ),
        (OWN.replace(":mid_gap", ":not_a_function"), None, "is a int, no function"),
        (OWN.replace("function: tests", "function: tests/"), None, "write package.module:name"),
        (OWN, "mid_gapp, min: 0, max: 1", "no labels of mid_gapp; did you mean 'mid_gap'?"),
        (
            "properties: {dos: {column: dos_at_fermi}}",
            "dos, min: 0, max: 1",
            "the dataset has no column 'dos_at_fermi'",
        ),
        ("properties: {dos: {unit: '1/eV', from_labels: true}}", None, "needs a function"),
        ("properties: {rank: {}}", None, "write another name, such as rank_value, with column: ra"),
        ("properties: {homo_std: {column: homo}}", None, "such as homo_std_value"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(tmp_path, own, target, message):
    path = _file(tmp_path, own, target or "homo_lumo_gap, min: 0.5, max: 1.1")
    with pytest.raises(CampaignFileError) as caught:
        load_campaign(path)
    assert message in str(caught.value)


def test_a_column_under_another_name(tmp_path):
    path = _file(tmp_path, "properties: {upper: {unit: eV, column: lumo}}", "upper, min: -11")
    config = load_campaign(path)
    data = load_data(config)
    assert all(r.properties["upper"] == r.properties["lumo"] for r in data)
    held = resolve_dataset(str(tmp_path / "all"))
    table = make_oracle("table", dataset=str(tmp_path / "all"), columns={"upper": "lumo"})
    record = held.records[5]
    assert table.label(record.configuration)["upper"] == record.properties["lumo"]
    assert table.version != make_oracle("table", dataset=str(tmp_path / "all")).version
