"""Oracles of several stages and labels from outside, on every kind of database."""

from __future__ import annotations

import pytest
from ledger_examples import FakeConfig, prepare, run_until_selected

from design_loop.ledger import Ledger, Source, StageCall

DEAR = [StageCall("k0", 1, "nearest", "dear-0"), StageCall("k2", 2, "next", "dear-2")]


@pytest.fixture
def staged(ledger, campaign):
    """A campaign with three selected candidates, all labelled by the first of two stages."""
    run_until_selected(ledger, campaign, {f"k{i}": f"cheap-{i}" for i in range(3)})
    for i in range(3):
        ledger.record_label(
            campaign, 1, f"k{i}", f"cheap-{i}", {"gap": float(i)}, source=Source.STAGE_1
        )
    return campaign


def test_a_stage_is_chosen_once(ledger, staged, target):
    assert ledger.choose_stage(staged, 1, 2, DEAR, {"kind": "ase"}) == DEAR
    # A driver that was killed and chooses anew finds what was chosen.
    with Ledger(target) as again:
        other = [StageCall("k1", 1, "another", "dear-1")]
        assert again.choose_stage(staged, 1, 2, other, {"kind": "ase"}) == DEAR
        assert again.stage_calls(staged, 1, 2) == DEAR
        assert again.stage_calls(staged, 1, 3) == again.stage_calls(staged, 0, 2) == []


def test_stages_wait_and_end_one_by_one(ledger, staged):
    def waiting(stage, source):
        return [c.candidate for c in ledger.pending_oracle(staged, 1, stage, source)]

    assert waiting(1, Source.STAGE_1) == []
    ledger.choose_stage(staged, 1, 2, DEAR, {"kind": "ase"})
    assert waiting(2, Source.ORACLE) == ["k0", "k2"]
    ledger.record_label(staged, 1, "k0", "dear-0", {"gap": 1.5}, 60.0, details={"relaxed": {}})
    ledger.record_failure(staged, 1, "k2", "dear-2", "no", final=True)
    assert waiting(2, Source.ORACLE) == []
    # The failure of the dear stage takes nothing from the cheap one.
    cheap = {label.candidate: label.properties for label in ledger.labels(staged, Source.STAGE_1)}
    assert cheap == {f"k{i}": {"gap": float(i)} for i in range(3)}
    [dear] = ledger.labels(staged, Source.ORACLE)
    assert (dear.properties, dear.oracle_key) == ({"gap": 1.5}, "dear-0")
    assert ledger.call_details(["dear-0", "cheap-0"]) == {"dear-0": {"relaxed": {}}}
    assert ledger.funnel(staged, 1).verified == 1  # only the last word counts


def test_what_another_campaign_computed_in_a_stage_is_taken_over(ledger, staged):
    ledger.choose_stage(staged, 1, 2, DEAR, {"kind": "ase"})
    ledger.record_label(staged, 1, "k0", "dear-0", {"gap": 1.5}, details={"relaxed": {"n": 1}})
    other = ledger.create_campaign(FakeConfig(), "work")
    prepare(ledger, other)
    run_until_selected(ledger, other, {"k0": "cheap-0"})
    assert ledger.reuse_labels(other, 1, 1, Source.STAGE_1) == ["k0"]
    ledger.choose_stage(other, 1, 2, DEAR[:1], {"kind": "ase"})
    assert ledger.reuse_labels(other, 1, 2, Source.ORACLE) == ["k0"]
    assert {str(label.source) for label in ledger.labels(other)} == {"stage_1", "oracle"}


def test_a_label_from_outside_is_recorded_once(ledger, staged):
    assert ledger.import_label(staged, "k1", {"gap": 0.7}, "imported:dft", {"file": "k1.csv"})
    assert not ledger.import_label(staged, "k1", {"gap": 0.9}, "imported:dft")
    [label] = ledger.labels(staged, Source.ORACLE)
    assert (label.properties, label.origin, label.round) == ({"gap": 0.7}, "imported:dft", 1)
    assert ledger.call_details([label.oracle_key]) == {
        label.oracle_key: {"origin": "imported:dft", "file": "k1.csv"}
    }


def test_a_label_from_outside_answers_the_call_that_waits_for_it(ledger, staged):
    external = {"kind": "external", "settings": {"method": "PBE"}}
    ledger.choose_stage(staged, 1, 2, DEAR, external)
    assert set(ledger.external_calls(staged)) == {"k0", "k2"}
    assert ledger.import_label(staged, "k0", {"gap": 0.7}, "imported:dft", {"file": "k0.csv"})
    assert set(ledger.external_calls(staged)) == {"k2"}
    assert ledger.get_oracle_result("dear-0") == {"gap": 0.7}
    # A candidate that was given up is not waited for, but a late label is still welcome.
    ledger.record_failure(staged, 1, "k2", "dear-2", "crashed", final=True)
    assert ledger.external_calls(staged) == {}
    assert ledger.import_label(staged, "k2", {"gap": 0.8}, "imported:dft")
    # Another campaign that asks the same of the same people has its answer, and says from whom.
    other = ledger.create_campaign(FakeConfig(), "work")
    prepare(ledger, other)
    run_until_selected(ledger, other, {"k0": "dear-0"})
    assert ledger.reuse_labels(other, 1) == ["k0"]
    [label] = ledger.labels(other)
    assert label.origin == "imported:dft"
    assert ledger.call_details(["dear-0"])["dear-0"]["file"] == "k0.csv"
