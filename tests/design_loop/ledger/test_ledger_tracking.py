"""Runs of tracking servers, settings of samples, events of steps: on every kind of database."""

from __future__ import annotations

import pytest
from ledger_examples import FakeConfig

from design_loop.ledger import Ledger, LedgerError, Sample
from design_loop.ledger.tracking import WHOLE, TrackingRun


def test_a_run_takes_the_place_of_the_one_before_it_and_of_no_other(ledger, campaign):
    other = ledger.create_campaign(FakeConfig(name="other"), "w")
    place = ("http://tracking:5000", "defects")
    for name, number, run in (
        (campaign, WHOLE, TrackingRun("1", None)),
        (campaign, 1, TrackingRun("2", None)),
        (other, WHOLE, TrackingRun("3", None)),
        (campaign, WHOLE, TrackingRun("4", "digest")),
    ):
        ledger.remember_tracking(name, *place, number, run)

    assert ledger.tracking_runs(campaign, *place) == {
        WHOLE: TrackingRun("4", "digest"),
        1: TrackingRun("2", None),
    }
    assert ledger.tracking_runs(other, *place) == {WHOLE: TrackingRun("3", None)}
    assert ledger.tracking_runs(campaign, "http://tracking:5000", "else") == {}


def test_tracking_needs_no_lease(ledger, campaign, target):
    with ledger.lease(campaign), Ledger(target, create=False) as onlooker:
        onlooker.remember_tracking(campaign, "s", "e", WHOLE, TrackingRun("1", None))

    assert ledger.tracking_runs(campaign, "s", "e") == {WHOLE: TrackingRun("1", None)}


def test_a_sample_keeps_the_number_of_its_setting(ledger, campaign):
    arms = [None, 0, 3]
    with ledger.step(campaign, 1, "generate") as step:
        step.record_samples(
            [Sample(i, {}, "S1 0 0 VAC", "stop", "r001-a", arm=arm) for i, arm in enumerate(arms)]
        )

    assert [s.sample.arm for s in ledger.samples(campaign, 1)] == arms


def test_an_event_of_a_step_is_told_once_though_the_step_runs_twice(ledger, campaign):
    with pytest.raises(LedgerError), ledger.step(campaign, 1, "generate") as step:
        step.record_event("diversity collapsed", level="warning")
        raise LedgerError("killed")
    assert not [e for e in ledger.events(campaign) if "collapsed" in e.message]
    with ledger.step(campaign, 1, "generate") as step:
        step.record_event("diversity collapsed", level="warning")

    [event] = [e for e in ledger.events(campaign) if "collapsed" in e.message]
    assert (event.level, event.round) == ("warning", 1)
