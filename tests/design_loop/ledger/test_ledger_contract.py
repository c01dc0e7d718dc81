"""What every kind of database must do for a driver."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_examples import FakeConfig, prepare, run_until_selected

from design_loop.ledger import (
    CampaignState,
    Candidate,
    Check,
    Ledger,
    LedgerError,
    Prediction,
    Sample,
    Source,
    StepState,
)


def test_campaign_is_read_back_as_it_was_created(ledger, tmp_path):
    name = ledger.create_campaign(FakeConfig(), tmp_path, {"ray": "2.60.0"})

    found = ledger.campaign(name)

    assert (found.name, found.seed, found.config) == ("MoS2 gap", 7, {"rounds": 2})
    assert found.workdir == str(tmp_path)
    assert found.versions == {"ray": "2.60.0"}
    assert found.state is CampaignState.CREATED
    assert found.created.tzinfo is not None


def test_campaigns_of_one_moment_get_different_ids_and_newest_is_first(ledger):
    ids = [ledger.create_campaign(FakeConfig(), "w") for _ in range(5)]

    assert len(set(ids)) == 5
    assert {c.id for c in ledger.campaigns()} == set(ids)
    created = [c.created for c in ledger.campaigns()]
    assert created == sorted(created, reverse=True)


def test_campaign_is_found_by_an_unambiguous_beginning(ledger):
    name = ledger.create_campaign(FakeConfig(name="alone"), "w")
    ledger.create_campaign(FakeConfig(name="twin"), "w")
    ledger.create_campaign(FakeConfig(name="twin"), "w")

    assert ledger.campaign("alo").id == name
    with pytest.raises(LedgerError, match="2 campaigns"):
        ledger.campaign("twin")
    with pytest.raises(LedgerError, match="no such campaign"):
        ledger.campaign("nobody")


def test_installed_versions_are_recorded_by_default(ledger):
    versions = ledger.campaign(ledger.create_campaign(FakeConfig(), "w")).versions
    assert versions["numpy"] == np.__version__


def test_a_done_step_keeps_its_results_and_is_not_run_again(ledger, campaign):
    with ledger.step(campaign, 1, "generate") as step:
        assert step.todo
        step.record_samples([Sample(0, {"gap": 1.1}, "text", "stop", "r001-aa", "prompt")])
        step.info["tokens"] = 12
    with ledger.step(campaign, 1, "generate") as again:
        assert again.done
        assert again.info == {"tokens": 12}
        with pytest.raises(LedgerError, match="nothing can be added"):
            again.record_samples([])

    (kept,) = ledger.samples(campaign, 1)
    assert kept.sample == Sample(0, {"gap": 1.1}, "text", "stop", "r001-aa", "prompt")
    assert not kept.checked
    assert [s.attempts for s in ledger.steps(campaign, 1) if s.name == "generate"] == [1]


def test_a_failed_step_leaves_nothing_but_its_error_and_can_be_repeated(ledger, campaign):
    with pytest.raises(RuntimeError, match="engine"), ledger.step(campaign, 1, "generate") as step:
        step.record_samples([Sample(0, {}, "text", "stop", "a")])
        raise RuntimeError("engine died")

    failed = ledger.steps(campaign, 1)[0]
    assert failed.state is StepState.FAILED
    assert "engine died" in failed.error
    assert "Traceback" in failed.error
    assert ledger.samples(campaign, 1) == []

    with ledger.step(campaign, 1, "generate") as step:
        assert step.attempt == 2
    mended = ledger.steps(campaign, 1)[0]
    assert (mended.state, mended.error) == (StepState.DONE, None)
    assert mended.finished >= mended.started


def test_a_step_whose_results_contradict_the_ledger_fails_as_a_whole(ledger, campaign):
    """The samples of one step come in one transaction: the second, bad one takes both out."""
    twice = [Sample(0, {}, "a", "stop", "x"), Sample(0, {}, "b", "stop", "x")]
    with pytest.raises(LedgerError, match="contradicts"), ledger.step(campaign, 1, "generate") as s:
        s.record_samples(twice)

    assert ledger.samples(campaign, 1) == []
    assert ledger.steps(campaign, 1)[0].state is StepState.FAILED


def test_steps_and_rounds_keep_their_order(ledger, campaign):
    with (
        pytest.raises(LedgerError, match="after generate"),
        ledger.step(campaign, 1, "learn"),
    ):
        pass
    with pytest.raises(LedgerError, match="no step dance"), ledger.step(campaign, 1, "dance"):
        pass
    with pytest.raises(LedgerError, match="not done yet"):
        ledger.finish_round(campaign, 1)
    with pytest.raises(LedgerError, match="follows 1"):
        ledger.start_round(campaign, 2)


def test_a_round_is_started_once(ledger, campaign):
    again = ledger.start_round(campaign, 1, adapter="other", surrogate="other")
    assert (again.adapter, again.surrogate) == ("r001-aa", "s0")
    ledger.finish_round(campaign, 0)
    assert [r.state for r in ledger.rounds(campaign)] == [StepState.DONE, StepState.RUNNING]


def test_every_sample_needs_a_check(ledger, campaign):
    with ledger.step(campaign, 1, "generate") as step:
        step.record_samples([Sample(i, {}, "t", "stop", "a") for i in range(3)])
    some = [Check(0, drop_reason="empty"), Check(1, drop_reason="empty")]
    with (
        pytest.raises(LedgerError, match="3 samples but 2 checks"),
        ledger.step(campaign, 1, "check") as step,
    ):
        step.record_checks(some, [])
    with pytest.raises(ValueError, match="neither a candidate nor a reason"):
        Check(2)


def test_the_whole_way_of_a_candidate(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0", "k1": "call-1", "k2": "call-2"})

    assert ledger.known_keys(campaign) == {"k0", "k1", "k2"}
    assert [c.candidate for c in ledger.pending_oracle(campaign, 1)] == ["k0", "k1", "k2"]

    assert ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.2}, seconds=4.0)
    ledger.record_failure(campaign, 1, "k1", "call-1", "no convergence", final=False)
    ledger.record_failure(campaign, 1, "k2", "call-2", "timeout", final=True)

    (waiting,) = ledger.pending_oracle(campaign, 1)
    assert (waiting.candidate, waiting.tries, waiting.configuration) == ("k1", 1, {"site": 1})
    funnel = ledger.funnel(campaign, 1)
    assert (funnel.samples, funnel.candidates, funnel.drops) == (4, 3, {"empty": 1})
    assert (funnel.predicted, funnel.selected, funnel.verified, funnel.failed) == (3, 3, 1, 1)
    assert ledger.funnel(campaign) == funnel

    (best,) = ledger.verified(campaign)
    assert best.candidate == Candidate("k0", {"site": 0}, "V_S", {"gap": 1.0}, 1)
    assert best.label.properties == {"gap": 1.2}
    assert best.label.source is Source.ORACLE
    assert best.prediction == Prediction("k0", {"gap": 1.0}, {"gap": 0.1}, 0.0)
    assert (best.surrogate, best.reason) == ("s0", "small error")


def test_a_label_is_never_computed_or_counted_twice(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0"})
    assert ledger.get_oracle_result("call-0") is None
    assert ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.2}, seconds=4.0)
    assert not ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 9.9}, seconds=1.0)

    assert ledger.get_oracle_result("call-0") == {"gap": 1.2}
    assert [label.properties for label in ledger.labels(campaign)] == [{"gap": 1.2}]


def test_another_campaign_takes_the_result_over(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "shared", "k1": "own"})
    ledger.record_label(campaign, 1, "k0", "shared", {"gap": 1.2}, seconds=4.0)
    second = ledger.create_campaign(FakeConfig(), "w")
    prepare(ledger, second)
    run_until_selected(ledger, second, {"k0": "shared", "k1": "own"})

    assert ledger.reuse_labels(second, 1) == ["k0"]
    assert [c.candidate for c in ledger.pending_oracle(second, 1)] == ["k1"]
    assert ledger.labels(second)[0].properties == {"gap": 1.2}
    assert ledger.reuse_labels(second, 1) == []


def test_a_call_given_up_by_one_campaign_is_still_open_to_another(ledger, campaign):
    """A timeout may be the machine's fault; giving up holds for the round that gave up."""
    run_until_selected(ledger, campaign, {"k0": "shared"})
    ledger.record_failure(campaign, 1, "k0", "shared", "timeout", final=True)
    assert ledger.pending_oracle(campaign, 1) == []

    second = ledger.create_campaign(FakeConfig(), "w")
    prepare(ledger, second)
    run_until_selected(ledger, second, {"k0": "shared"})
    assert [c.candidate for c in ledger.pending_oracle(second, 1)] == ["k0"]
    assert ledger.record_label(second, 1, "k0", "shared", {"gap": 1.0})
    assert ledger.get_oracle_result("shared") == {"gap": 1.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan")])
def test_a_label_that_is_no_number_is_refused(ledger, campaign, value):
    run_until_selected(ledger, campaign, {"k0": "call-0"})
    with pytest.raises(LedgerError, match="homo not a finite number"):
        ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0, "homo": value})
    with pytest.raises(LedgerError, match="no values"):
        ledger.record_label(campaign, 1, "k0", "call-0", {})
    assert ledger.get_oracle_result("call-0") is None
    assert len(ledger.pending_oracle(campaign, 1)) == 1


def test_numbers_of_numpy_are_kept(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0"})
    ledger.record_label(campaign, 1, "k0", "call-0", {"gap": np.float32(1.5)})
    assert ledger.get_oracle_result("call-0") == {"gap": 1.5}


def test_a_label_for_a_call_that_was_never_selected_is_refused(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0"})
    with pytest.raises(LedgerError, match="never selected"):
        ledger.record_label(campaign, 1, "k0", "other", {"gap": 1.0})


def test_unverified_labels_say_whose_they_are(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0", "k1": "call-1"})
    ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})
    with ledger.step(campaign, 1, "verify") as step:
        step.record_unverified({"k1": {"gap": 2.0}})

    assert [x.candidate for x in ledger.labels(campaign, Source.SURROGATE)] == ["k1"]
    assert [v.candidate.key for v in ledger.verified(campaign)] == ["k0"]


def test_a_campaign_without_an_oracle_has_nothing_pending(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": None})
    assert ledger.pending_oracle(campaign, 1) == []
    assert [s.candidate for s in ledger.selections(campaign, 1)] == ["k0"]


def test_candidates_are_unique_in_a_campaign(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0"})
    for name in ("verify", "learn"):
        with ledger.step(campaign, 1, name):
            pass
    ledger.finish_round(campaign, 1)
    ledger.start_round(campaign, 2)
    with ledger.step(campaign, 2, "generate") as step:
        step.record_samples([Sample(0, {}, "t", "stop", "a")])
    with pytest.raises(LedgerError, match="contradicts"), ledger.step(campaign, 2, "check") as step:
        step.record_checks([Check(0, "k0")], [Candidate("k0", {}, "V_S")])
    with ledger.step(campaign, 2, "check") as step:
        step.record_checks([Check(0, "k0", "duplicate_in_campaign", "as in round 1")], [])
    assert ledger.funnel(campaign, 2).drops == {"duplicate_in_campaign": 1}


def test_models_and_events_are_listed_in_order(ledger, campaign):
    ledger.event(campaign, "first", number=1)
    ledger.event(campaign, "second", level="warning")
    first, second = ledger.events(campaign)
    assert (first.message, first.round, first.level) == ("first", 1, "info")
    assert ledger.events(campaign, after=first.id) == [second]
    assert [(a.name, a.round) for a in ledger.adapters(campaign)] == [("r001-aa", 0)]
    assert [(s.version, s.manifest) for s in ledger.surrogates(campaign)] == [("s0", {"rows": 10})]


def test_campaign_state_changes(ledger, campaign):
    ledger.set_campaign_state(campaign, CampaignState.FAILED, "engine did not start")
    found = ledger.campaign(campaign)
    assert (found.state, found.error) == (CampaignState.FAILED, "engine did not start")
    assert found.updated >= found.created


def test_a_second_process_reads_what_the_first_wrote(ledger, campaign, target):
    with Ledger(target, create=False) as other:
        assert other.campaign(campaign) == ledger.campaign(campaign)
        assert other.rounds(campaign) == ledger.rounds(campaign)


_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.tuples(_TEXT, _TEXT, st.floats(allow_nan=False, allow_infinity=False))))
def test_samples_come_back_as_the_model_wrote_them(ledger, texts):
    """A model writes anything: line ends, quotes, any script."""
    campaign = ledger.create_campaign(FakeConfig(), "w")
    prepare(ledger, campaign)
    given_samples = [
        Sample(i, {"gap": value}, text, "stop", "a", prompt)
        for i, (text, prompt, value) in enumerate(texts)
    ]
    with ledger.step(campaign, 1, "generate") as step:
        step.record_samples(given_samples)
    assert [s.sample for s in ledger.samples(campaign, 1)] == given_samples


def test_a_nul_of_the_model_does_not_stop_the_campaign(ledger, campaign):
    with ledger.step(campaign, 1, "generate") as step:
        step.record_samples([Sample(0, {}, "S1\x00 0", "stop", "a")])
    assert ledger.samples(campaign, 1)[0].sample.text == "S1\ufffd 0"


def test_labels_that_arrive_at_once_are_all_kept(ledger, campaign):
    """Oracle calls end together on different threads, sometimes the same one twice."""
    keys = {f"k{i}": f"call-{i}" for i in range(12)}
    run_until_selected(ledger, campaign, keys)

    def record(item):
        return ledger.record_label(campaign, 1, item[0], item[1], {"gap": 1.0})

    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(record, list(keys.items()) * 2))

    assert sorted(new) == [False] * 12 + [True] * 12
    assert {label.candidate for label in ledger.labels(campaign)} == set(keys)
    assert ledger.pending_oracle(campaign, 1) == []
