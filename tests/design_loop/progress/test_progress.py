"""The displays, fed by a whole campaign with made-up numbers."""

from __future__ import annotations

import io

import pytest
from fake_campaign import FakeCampaign
from rich.console import Console

from design_loop.config import load_preset
from design_loop.ledger import Ledger
from design_loop.progress import campaign_progress
from design_loop.progress.live import LiveProgress
from design_loop.progress.plain import EVERY_S, PlainProgress
from design_loop.progress.state import DisplayState, describe, duration


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def config():
    return load_preset("quickstart", check=False)


def _play(tmp_path, progress, rounds=None):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        return FakeCampaign(ledger, tmp_path, progress).run(rounds)


def test_not_a_terminal_gets_plain_lines(capsys):
    assert isinstance(campaign_progress(), PlainProgress)


def test_plain_lines_tell_the_whole_campaign(tmp_path):
    out = io.StringIO()
    with PlainProgress(out) as progress:
        name = _play(tmp_path, progress)
    assert progress.campaign == name
    lines = out.getvalue().splitlines()
    assert f"campaign {name}: MoS2 4×4, 3 rounds" in lines[0]
    assert "formation_energy_per_site ≤ 0.45" in lines[1]
    for number in (1, 2, 3):
        for step in ("generate", "check", "predict", "select", "verify", "learn"):
            assert any(f"round {number}/3 {step}: done in" in line for line in lines)
        [told] = [line for line in lines if f"round {number}/3 done: 40 samples" in line]
        assert "dropped" in told
        assert "5 verified" in told
    assert "\x1b" not in out.getvalue()


def test_plain_lines_of_a_long_step_come_rarely(config):
    clock, out = Clock(), io.StringIO()
    progress = PlainProgress(out, DisplayState(clock))
    progress.campaign_started("c-1", config)
    progress.step_started(1, "verify", "xtb")
    before = len(out.getvalue().splitlines())
    for done in range(1, 13):
        clock.now += EVERY_S / 4
        progress.step_advanced(done, 12)
    told = out.getvalue().splitlines()[before:]
    assert [line.split(": ")[-1] for line in told] == ["4 of 12", "8 of 12", "12 of 12"]
    assert told[0].startswith("[  0:30]")


def test_plain_lines_of_the_same_news_come_rarely(config):
    clock, out = Clock(), io.StringIO()
    progress = PlainProgress(out, DisplayState(clock))
    progress.campaign_started("c-1", config)
    for second in range(0, 60, 5):
        progress.message("info", f"loading the language model ({second} s)")
        clock.now += 5
    progress.message("info", "waiting for the first answer")
    progress.message("warning", "slow")
    told = [line.split("] ")[1] for line in out.getvalue().splitlines()[2:]]
    assert told == [
        "loading the language model (0 s)",
        "loading the language model (30 s)",
        "waiting for the first answer",
        "warning: slow",
    ]


def test_live_display_shows_what_a_step_is_at(config):
    live = LiveProgress(Console(file=io.StringIO(), force_terminal=True))
    live.campaign_started("c-1", config)
    live.step_started(0, "start", "Ray")
    live.message("info", "loading (5 s)")
    live.message("info", "loading (10 s)")
    live.message("warning", "slow disk")
    out = Console(file=io.StringIO(), width=80)
    with out.capture() as text:
        out.print(live.render())
    shown = text.get()
    assert "loading (10 s)" in shown
    assert "loading (5 s)" not in shown
    assert "slow disk" in shown
    assert shown.index("start") < shown.index("prepare")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_live_display_fits_and_shows_everything(tmp_path, width):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=50)
    clock = Clock()
    live = LiveProgress(console, DisplayState(clock))
    live.render()  # before anything began
    _play(tmp_path, live, rounds=2)
    clock.now += 75
    live.step_started(3, "generate", "adapter r003-0123456789ab")
    live.step_advanced(48, 192)
    live.message("warning", "one [red]odd[/red] thing")
    with console.capture() as capture:
        console.print(live.render())
    plain = Console(file=io.StringIO(), width=width, color_system=None)
    with plain.capture() as text:
        plain.print(live.render())
    shown = text.get()
    assert max(len(line) for line in shown.splitlines()) <= width
    for word in ("Round 3 of 3", "48/192", "elapsed 1:15", "oracle calls 12 of 36",
                 "duplicate_in_campaign", "meet all targets"):  # fmt: skip
        assert word in " ".join(shown.split())
    assert "one [red]odd[/red] thing" in shown
    assert "\x1b" in capture.get()


def test_live_display_without_unicode_uses_ascii_marks(tmp_path):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    live = LiveProgress(Console(file=stream, force_terminal=True, width=80))
    _play(tmp_path, live, rounds=1)
    live.step_started(2, "check")
    out = Console(file=io.StringIO(), width=80)
    with out.capture() as text:
        out.print(live.render())
    assert "> check" in text.get()
    assert "●" not in text.get()


def test_resume_tells_finished_rounds_without_counting_drops_twice(tmp_path):
    """A resumed driver tells steps and rounds again; the ledger's count wins."""
    from design_loop.summary import summarise_round

    name = _play(tmp_path, None)
    state = DisplayState()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        rounds = [summarise_round(ledger, name, n) for n in range(4)]
        total = ledger.funnel(name)
    for found in rounds:
        state.finish_step(found.number, "check", 1.0, {"drops": dict(found.funnel.drops)})
        state.finish_round(found)
    assert dict(state.drops) == dict(total.drops)
    assert state.oracle_calls == 18
    assert state.hits == sum(r.hits for r in rounds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (187, "3:07"), (3723, "1:02:03")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_info_is_told_in_words():
    info = {"samples": 192, "loss": 0.29712, "drops": {"empty": 2}, "ok": True, "adapter": "r1-a"}
    assert describe(info) == "192 samples, loss 0.297, adapter r1-a"
