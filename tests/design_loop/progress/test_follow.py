"""A campaign watched from its ledger looks as it does to its own driver."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest
from fake_campaign import FakeCampaign
from rich.console import Console

from design_loop.campaign.control import Control
from design_loop.ledger import CampaignState, Ledger, LedgerError
from design_loop.progress.follow import ENDED, Follower, follow
from design_loop.progress.live import LiveProgress
from design_loop.progress.plain import PlainProgress
from design_loop.progress.screen import Screen, draw
from design_loop.progress.state import DisplayState


def _shown(state, width=80, height=24):
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as text:
        console.print(draw(state, Screen(width, height)))
    return text.get()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_a_finished_campaign_is_told_like_its_own_driver_told_it(tmp_path, ledger):
    own, seen = io.StringIO(), io.StringIO()
    campaign = FakeCampaign(ledger, tmp_path, PlainProgress(own)).run()
    state = DisplayState()
    assert follow(Follower(ledger, campaign, PlainProgress(seen, state), state)) is (
        CampaignState.DONE
    )

    def told(text):
        return [
            line.split("] ")[1]
            for line in text.getvalue().splitlines()
            if "round" in line and " done: " in line
        ]

    assert told(seen) == told(own)
    assert len(told(seen)) == 3


def test_what_comes_in_between_is_told_once(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path)
    out, state = io.StringIO(), DisplayState()
    follower = Follower(ledger, campaign.id, PlainProgress(out, state), state)
    looks = []

    def wait(_seconds):
        looks.append(out.getvalue().count("\n"))
        if len(looks) == 1:
            campaign.run(1)
            ledger.event(campaign.id, "the disk is slow", level="warning", number=1)
        elif len(looks) == 3:
            # What a driver has written of a step that it is in.
            ledger.start_round(campaign.id, 2, adapter="r002-000000000002", surrogate="s2")
            ledger.step(campaign.id, 2, "generate").__enter__()
        elif len(looks) == 5:
            ledger.set_campaign_state(campaign.id, CampaignState.FAILED, "no space left")

    assert follow(follower, wait) is CampaignState.FAILED
    lines = out.getvalue()
    assert lines.count("round 1/3 done") == 1
    assert lines.count("warning: the disk is slow") == 1
    assert lines.count("round 2/3 generate\n") == 1
    assert looks[1] == looks[2]  # nothing new, nothing told
    assert state.standing == "failed: no space left"


def test_added_rounds_are_seen_while_looking_on(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(1)
    out, state = io.StringIO(), DisplayState()
    follower = Follower(ledger, campaign.id, PlainProgress(out, state), state)
    follower.look()
    assert state.n_rounds == 3
    ledger.extend(campaign.id, rounds=4, budget=None)
    follower.look()
    follower.look()
    assert state.n_rounds == 7
    assert out.getvalue().count("7 rounds") == 1


def test_an_added_budget_counts_from_its_round_on(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(2)
    out, state = io.StringIO(), DisplayState()
    follower = Follower(ledger, campaign.id, PlainProgress(out, state), state)
    follower.look()
    assert state.budget == 3 * 12
    ledger.extend(campaign.id, rounds=2, budget=20)
    follower.look()
    # Two rounds have chosen with the old budget; three are to come.
    assert state.budget == 2 * 12 + 3 * 20
    assert "extended: 5 rounds, 84 oracle calls" in out.getvalue()
    assert "of 84" in _shown(state)
    # What its own driver tells, and somebody who looks on from now.
    assert Control(ledger, campaign.id, campaign.config).calls() == 84
    late = DisplayState()
    Follower(ledger, campaign.id, PlainProgress(io.StringIO(), late), late).look()
    assert late.budget == 84


def test_a_ledger_that_does_not_answer_is_asked_again(tmp_path, ledger, monkeypatch):
    campaign = FakeCampaign(ledger, tmp_path).run()
    state = DisplayState()
    follower = Follower(ledger, campaign, PlainProgress(io.StringIO(), state), state)
    ledger.set_campaign_state(campaign, CampaignState.PAUSED)
    failures, lost = [1, 1, 1], []
    follower.look()
    read = ledger.rounds

    def rounds(name):
        if failures:
            failures.pop()
            raise LedgerError("the database did not answer")
        return read(name)

    monkeypatch.setattr(ledger, "rounds", rounds)

    def wait(_seconds):
        if not failures and len(lost) == 1 and ledger.campaign(campaign).state not in ENDED:
            ledger.set_campaign_state(campaign, CampaignState.STOPPED)

    assert follow(follower, wait, lost.append) is CampaignState.STOPPED
    assert lost == ["the database did not answer; trying again"]


def test_a_step_that_runs_elsewhere_counts_from_its_own_beginning(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(2)
    ledger.start_round(campaign.id, 3, adapter="r003-000000000003", surrogate="s3")
    ledger.step(campaign.id, 3, "generate").__enter__()
    now = [1000.0]
    state = DisplayState(lambda: now[0])
    live = LiveProgress(Console(file=io.StringIO(), force_terminal=True), state)
    follower = Follower(ledger, campaign.id, live, state)
    assert follower.look() is CampaignState.RUNNING
    began = state.running.started
    assert state.running.name == "generate"
    assert 0 <= now[0] - began < 60
    assert state.started <= began
    now[0] += timedelta(minutes=2).total_seconds()
    shown = _shown(state)
    assert "Round 3 of 3" in shown
    shown_time = next(line for line in shown.splitlines() if "generate" in line)
    assert re.search(r"[23]:\d\d", shown_time), shown_time
    assert "no driver is at work" in shown
    assert "models   adapter r003-000000000003  surrogate s3" in shown


def test_the_view_keeps_to_the_terminal_with_many_rounds_and_messages(tmp_path, ledger):
    state = DisplayState()
    live = LiveProgress(Console(file=io.StringIO(), force_terminal=True), state)
    campaign = FakeCampaign(ledger, tmp_path, live)
    campaign.config = campaign.config.model_copy(update={"rounds": 30})
    campaign.run(8)
    live.step_started(9, "verify", "xtb")
    live.step_advanced(3, 12)
    for n in range(15):
        live.message("warning", f"message number {n} " + 30 * "long ")
    for width, height in [(80, 24), (60, 20), (200, 50), (40, 12), (120, 15)]:
        lines = _shown(state, width, height).splitlines()
        assert len(lines) <= height
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert "meet all targets" in text
        assert "verify" in text
        if height >= 20:
            assert "message number 14" in text
            assert any(line.strip().startswith("8 ") for line in lines)  # the latest round
        if height >= 50:
            assert any(line.strip().startswith("1 ") for line in lines)


def test_what_is_left_is_what_steps_took_so_far(tmp_path, ledger):
    now = [0.0]
    state = DisplayState(lambda: now[0])
    campaign = FakeCampaign(ledger, tmp_path)
    state.begin("c", campaign.config)
    assert state.remaining is None
    state.finish_step(0, "prepare", 100.0, {})
    seconds = {"generate": 10, "check": 1, "predict": 1, "select": 1, "verify": 30}
    for name, took in seconds.items():
        state.start_step(1, name, "")
        assert state.remaining is None
        state.finish_step(1, name, took, {})
    # Learning takes as long as the preparation, as far as is known; two more rounds to come.
    state.start_step(1, "learn", "")
    now[0] += 40
    assert state.remaining == pytest.approx(60 + 2 * (43 + 100))
    state.finish_step(1, "learn", 70.0, {})
    assert state.remaining == pytest.approx(2 * (43 + 70))
    state.start_step(2, "generate", "")
    now[0] += 25  # longer than ever: nothing is left of it, not less
    assert state.remaining == pytest.approx(33 + 70 + 43 + 70)
