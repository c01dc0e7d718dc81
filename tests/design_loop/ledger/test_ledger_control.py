"""Requests, amendments and forks on a real ledger; which state follows on which."""

from __future__ import annotations

import pytest
from ledger_examples import FakeConfig, run_until_predicted, run_until_selected

from design_loop.ledger import (
    Action,
    CampaignState,
    LedgerError,
    Outcome,
    Source,
    StageCall,
    StepState,
    Suspended,
    TransitionError,
)
from design_loop.ledger.states import ACTIONS, TRANSITIONS, why_not

S = CampaignState
#: How a test gets a campaign into a state.
WAYS = {
    S.CREATED: (),
    S.RUNNING: (S.RUNNING,),
    S.WAITING: (S.RUNNING, S.WAITING),
    S.PAUSED: (S.RUNNING, S.PAUSED),
    S.STOPPED: (S.RUNNING, S.STOPPED),
    S.FAILED: (S.RUNNING, S.FAILED),
    S.DONE: (S.RUNNING, S.DONE),
}


def _bring(ledger, campaign, state):
    for step in WAYS[state]:
        ledger.set_campaign_state(campaign, step)


@pytest.mark.parametrize("before", list(S))
def test_exactly_the_listed_transitions_are_legal(ledger, campaign, before):
    _bring(ledger, campaign, before)
    for after in S:
        if after in TRANSITIONS[before]:
            continue
        with pytest.raises(TransitionError, match=f"is {before}, and {after} does not follow"):
            ledger.set_campaign_state(campaign, after)
        assert ledger.campaign(campaign).state is before


def test_no_state_is_a_dead_end_and_every_action_is_explained():
    assert all(TRANSITIONS[state] for state in S)
    assert set(ACTIONS) == set(S)
    for state in S:
        for action in Action:
            assert (why_not(action, state) is None) == (action in ACTIONS[state])


@pytest.mark.parametrize(
    "action, state, after",
    [
        (Action.PAUSE, S.CREATED, S.PAUSED),
        (Action.PAUSE, S.RUNNING, S.PAUSED),  # its driver is dead
        (Action.STOP, S.RUNNING, S.STOPPED),
        (Action.STOP, S.PAUSED, S.STOPPED),
        (Action.STOP, S.WAITING, S.STOPPED),
    ],
)
def test_without_a_driver_a_request_is_answered_at_once(ledger, campaign, action, state, after):
    _bring(ledger, campaign, state)
    assert ledger.ask(campaign, action, "anna") is True
    assert ledger.campaign(campaign).state is after
    [request] = ledger.requests(campaign)
    assert (request.action, request.by, request.outcome) == (action, "anna", Outcome.DONE)
    assert ledger.pending_request(campaign) is None


@pytest.mark.parametrize(
    "action, state, part",
    [
        (Action.PAUSE, S.PAUSED, "paused already"),
        (Action.PAUSE, S.STOPPED, "stopped already"),
        (Action.PAUSE, S.DONE, "campaign extend"),
        (Action.STOP, S.FAILED, "campaign resume"),
        (Action.STOP, S.DONE, "campaign fork"),
        (Action.RESUME, S.DONE, "campaign extend"),
        (Action.EXTEND, S.FAILED, "campaign resume"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(ledger, campaign, action, state, part):
    _bring(ledger, campaign, state)
    with pytest.raises(TransitionError, match=part):
        if action is Action.EXTEND:
            ledger.extend(campaign, rounds=1)
        elif action is Action.RESUME:
            ledger.check_resume(campaign)
        else:
            ledger.ask(campaign, action)
    assert ledger.campaign(campaign).state is state
    assert ledger.requests(campaign) == ledger.amendments(campaign) == []


def test_a_driver_answers_at_its_next_safe_point(ledger, campaign):
    with ledger.lease(campaign):
        ledger.begin(campaign, S.CREATED)
        assert ledger.driver(campaign)["pid"]
        assert ledger.ask(campaign, Action.PAUSE) is False
        assert ledger.ask(campaign, Action.PAUSE) is False  # twice is once
        assert ledger.campaign(campaign).state is S.RUNNING
        with pytest.raises(TransitionError, match="its driver is at work"):
            ledger.check_resume(campaign)
        assert ledger.act_on_request(campaign) is S.PAUSED
        assert ledger.act_on_request(campaign) is None
    assert ledger.campaign(campaign).state is S.PAUSED
    assert [r.outcome for r in ledger.requests(campaign)] == [Outcome.DONE]
    assert ledger.driver(campaign) is None
    assert ledger.check_resume(campaign) is S.PAUSED


def test_a_stop_replaces_a_pause_and_not_the_other_way(ledger, campaign):
    with ledger.lease(campaign):
        ledger.begin(campaign, S.CREATED)
        ledger.ask(campaign, Action.PAUSE)
        ledger.ask(campaign, Action.STOP)
        with pytest.raises(TransitionError, match="being stopped"):
            ledger.ask(campaign, Action.PAUSE)
        assert ledger.act_on_request(campaign) is S.STOPPED
    assert [r.outcome for r in ledger.requests(campaign)] == [Outcome.REPLACED, Outcome.DONE]


def test_a_request_can_be_withdrawn_until_it_is_answered(ledger, campaign):
    with ledger.lease(campaign):
        ledger.begin(campaign, S.CREATED)
        ledger.ask(campaign, Action.PAUSE)
        assert ledger.withdraw(campaign) is Action.PAUSE
        assert ledger.withdraw(campaign) is None
        assert ledger.act_on_request(campaign) is None
        assert ledger.campaign(campaign).state is S.RUNNING


def test_what_a_dead_driver_was_asked_for_does_not_meet_the_next(ledger, campaign):
    with ledger.lease(campaign):
        ledger.begin(campaign, S.CREATED)
        ledger.ask(campaign, Action.PAUSE)
    assert ledger.check_resume(campaign) is S.RUNNING
    assert ledger.pending_request(campaign) is None


def test_a_driver_that_was_overtaken_does_not_begin(ledger, campaign):
    expected = ledger.check_resume(campaign)
    ledger.ask(campaign, Action.PAUSE)
    with ledger.lease(campaign), pytest.raises(TransitionError, match="is paused by now"):
        ledger.begin(campaign, expected)


def test_extensions_are_rows_and_make_a_finished_campaign_runnable(ledger, campaign):
    config = ledger.campaign(campaign).config
    with ledger.lease(campaign):
        ledger.begin(campaign, S.CREATED)
        ledger.extend(campaign, rounds=2, by="anna")
        assert ledger.finish_campaign(campaign, config["rounds"]) is False
        assert ledger.campaign(campaign).state is S.RUNNING
        ledger.ask(campaign, Action.PAUSE)
        assert ledger.finish_campaign(campaign, config["rounds"] + 2) is True
    assert [r.outcome for r in ledger.requests(campaign)] == [Outcome.TOO_LATE]
    with pytest.raises(TransitionError, match="add rounds, too"):
        ledger.extend(campaign, budget=8)
    ledger.extend(campaign, rounds=1, budget=8, stage=2)
    assert ledger.campaign(campaign).state is S.PAUSED
    assert [(a.number, a.rounds, a.budget, a.stage) for a in ledger.amendments(campaign)] == [
        (1, 2, None, 1), (2, 1, 8, 2)
    ]  # fmt: skip
    assert ledger.amendments(campaign)[0].by == "anna"
    assert ledger.campaign(campaign).config == config
    with pytest.raises(LedgerError, match="needs rounds or a budget"):
        ledger.extend(campaign)


def test_a_budget_counts_from_the_first_round_whose_calls_are_not_chosen(ledger, campaign):
    def first(stage: int) -> int:
        return ledger.extend(campaign, budget=1, stage=stage).first_round

    assert (first(1), first(2)) == (1, 1)  # round 1 is begun, nothing in it chosen
    run_until_selected(ledger, campaign, {"k0": "call-0", "k1": "call-1"})
    assert (first(1), first(2)) == (2, 1)
    call = StageCall("k0", 1, "the better one", "dear-0")
    with pytest.raises(Suspended), ledger.step(campaign, 1, "verify"):
        assert first(2) == 1  # the stage before is still at work
        ledger.choose_stage(campaign, 1, 2, [call], {"kind": "external"})
        assert (first(2), first(3)) == (2, 1)
        raise Suspended("waits")
    with ledger.step(campaign, 1, "verify"):
        assert first(2) == 2  # begun anew, but what it computes stays chosen
    assert (first(2), first(3)) == (2, 2)  # whatever was chosen, the round has passed
    assert [a.first_round for a in ledger.amendments(campaign)][-2:] == [2, 2]


def test_a_selection_at_work_has_read_its_budget_unless_its_driver_died(ledger, campaign):
    with pytest.raises(KeyboardInterrupt), ledger.lease(campaign):
        run_until_predicted(ledger, campaign, ["k0"])
        with ledger.step(campaign, 1, "select"):
            assert ledger.extend(campaign, budget=1).first_round == 2
            raise KeyboardInterrupt
    assert ledger.extend(campaign, budget=2).first_round == 1


def test_a_step_left_at_a_safe_point_goes_on_with_what_it_committed(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0", "k1": "call-1"})
    with pytest.raises(Suspended), ledger.step(campaign, 1, "verify"):
        ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})
        raise Suspended("asked")
    step = next(s for s in ledger.steps(campaign, 1) if s.name == "verify")
    assert (step.state, step.error) == (StepState.PENDING, None)
    assert [c.candidate for c in ledger.pending_oracle(campaign, 1)] == ["k1"]
    with ledger.step(campaign, 1, "verify") as run:
        assert (run.todo, run.attempt) == (True, 2)


def test_a_fork_knows_what_its_parents_found_and_keeps_it(ledger, campaign):
    run_until_selected(ledger, campaign, {"k0": "call-0", "k1": "call-1"})
    ledger.record_label(campaign, 1, "k0", "call-0", {"gap": 1.0})
    child = ledger.fork_campaign(campaign, FakeConfig("child"), "w", adapter="r001-aa")
    ledger.record_label(campaign, 1, "k1", "call-1", {"gap": 2.0})
    grandchild = ledger.fork_campaign(child, FakeConfig("grandchild"), "w")
    both = ledger.fork_campaign(campaign, FakeConfig("both"), "w")

    assert ledger.lineage(campaign) is None
    made = ledger.lineage(child)
    assert (made.parent, made.rounds, made.labels) == (campaign, 1, 1)
    assert (made.adapter, made.surrogate) == ("r001-aa", None)
    assert ledger.forks(campaign) == [child, both]
    # The later label is not the child's, and what the child inherited is its children's.
    for name in (child, grandchild):
        [known] = ledger.inherited(name)
        assert (known.candidate, known.properties, known.origin) == ("k0", {"gap": 1.0}, campaign)
        assert (known.configuration, known.oracle_key) == ({"site": 0}, "call-0")
    assert [i.candidate for i in ledger.inherited(both)] == ["k0", "k1"]
    assert ledger.labels(child, Source.ORACLE) == []
    assert ledger.campaign(child).state is S.CREATED
