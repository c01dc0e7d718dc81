"""The clock of a campaign: pauses do not count, what others computed does."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest
from fake_campaign import FakeCampaign

from design_loop.campaign import driver
from design_loop.compare.clock import GOES_ON, read_clock
from design_loop.compare.outcome import read_outcome
from design_loop.compare.run import TASK, drive_here
from design_loop.config import load_campaign
from design_loop.ledger import CampaignState, Ledger
from design_loop.oracle_calls import LabelResult
from design_loop.progress import SilentProgress
from tests.design_loop.campaign.quick_services import QuickServices, write_campaign

CALL, PAUSE, START = 0.4, 3.0, 0.5


class _Slow(QuickServices):
    """Calls take a while, one after the other, and may be stopped by Ctrl-C."""

    stop_after: int | None = None

    def label(self, oracle, configurations, on_result, on_failure, limits):
        table = oracle.build()
        for i, c in enumerate(configurations):
            if i == self.stop_after:
                raise KeyboardInterrupt
            time.sleep(CALL)
            on_result(LabelResult(i, c, table.label(c), seconds=CALL))
        return len(configurations), 0


def _services(stop_after=None, stop_at_start=False):
    def start(config, folder, tell):
        time.sleep(START)
        if stop_at_start:
            raise KeyboardInterrupt
        made = _Slow(folder, config)
        made.stop_after = stop_after
        last = sorted((folder / "surrogates").glob("r*/manifest.json"))
        if last:
            made.use_surrogate(last[-1].parent)
        return made

    return start


@pytest.fixture
def out(tmp_path):
    path = write_campaign(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / TASK).write_text(load_campaign(path).to_yaml())
    return folder


def _read(out, name=None):
    with Ledger(out / "ledger.sqlite", create=False) as ledger:
        campaign = next(c for c in ledger.campaigns() if name in (None, c.name))
        assert campaign.state is CampaignState.DONE
        return read_outcome(ledger, campaign.id, "random", 0, ())


@pytest.mark.slow
def test_pauses_between_sessions_do_not_count_and_what_was_computed_before_them_does(out):
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):  # while the models are brought up: no step has begun
        drive_here(out, "random", 0, services=_services(stop_at_start=True))
    time.sleep(PAUSE)
    with pytest.raises(KeyboardInterrupt):  # two of four labels of the first round are there
        drive_here(out, "random", 0, services=_services(stop_after=2))
    time.sleep(PAUSE)
    drive_here(out, "random", 0, services=_services())
    wall = time.monotonic() - began
    found = _read(out)
    assert len(found.calls) == 8
    # The first and the last start of the services do not count, nor does either pause.
    assert found.seconds < wall - 2 * PAUSE - 2 * START
    assert found.seconds >= found.calls[-1].seconds
    assert found.own_seconds >= START
    assert found.own_seconds + 8 * CALL < found.seconds + 0.05
    apart = [b.seconds - a.seconds for a, b in zip(found.calls, found.calls[1:4], strict=False)]
    assert all(0.9 * CALL < gap < PAUSE for gap in apart)
    assert len({c.own_seconds for c in found.calls[:4]}) == 1
    assert found.calls[4].own_seconds > found.calls[3].own_seconds


@pytest.mark.slow
def test_what_another_campaign_computed_costs_what_it_cost_there(out):
    drive_here(out, "random", 0, services=_services())
    first = _read(out)
    with Ledger(out / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
    time.sleep(1.5)
    again = type(load_campaign(out / TASK)).model_validate({**campaign.config, "name": "again"})
    began = time.monotonic()
    store = str(out / "ledger.sqlite")
    driver.start(again, out, store, SilentProgress(), _services())
    wall = time.monotonic() - began
    second = _read(out, "again")
    assert [c.error for c in second.calls] == [c.error for c in first.calls]
    # Nothing was computed, yet every call has its price.
    assert second.seconds - second.own_seconds == pytest.approx(8 * CALL, abs=1.0)
    assert second.seconds > wall - 8 * CALL
    gaps = [b.seconds - a.seconds for a, b in zip(second.calls, second.calls[1:4], strict=False)]
    assert gaps == pytest.approx([CALL] * 3, abs=0.3)


@pytest.fixture
def play(tmp_path):
    """Plays a made-up campaign at set times; returns the ledger, its name and the database.

    2 s until the first step; 1 s per step, 10 s for verify, whose five calls of 6.5 s end together
    (0.01 s apart) 6.5 s after its start. What an earlier one had computed is taken over.
    """
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        # Other times than a blink's can only be written past the guards of finished rows.
        database = sqlite3.connect(path, isolation_level=None)
        guards = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (guard,) in guards.fetchall():
            database.execute(f'DROP TRIGGER "{guard}"')

        def put(statement, moment, *where):
            database.execute(statement, [_text(moment), *where])

        def played(later=timedelta(0)):
            finished = {key for (key,) in database.execute("SELECT key FROM oracle_calls "
                                                           "WHERE state = 'done'")}  # fmt: skip
            name = FakeCampaign(ledger, tmp_path).run()
            created = ledger.campaign(name).created + later
            put("UPDATE campaigns SET created = ? WHERE id = ?", created, name)
            database.execute(
                "UPDATE steps SET seconds = CASE name WHEN 'verify' THEN 10 ELSE 1 END"
            )
            begins = "UPDATE steps SET started = ? WHERE campaign = ?"
            put(f"{begins} AND round = 0", created + timedelta(seconds=2), name)
            for number in (1, 2, 3):
                started = created + timedelta(seconds=100 * number)
                put(f"{begins} AND name = 'verify' AND round = ?", started, name, number)
                for place, label in enumerate(ledger.labels(name, number=number)):
                    when = started + timedelta(seconds=6.5 + 0.01 * place)
                    where = "campaign = ? AND candidate = ?"
                    put(f"UPDATE labels SET time = ? WHERE {where}", when, name, label.candidate)
                    if label.oracle_key not in finished:
                        put("UPDATE oracle_calls SET finished = ? WHERE key = ?",
                            when, label.oracle_key)  # fmt: skip
            return ledger, name, database

        yield played
        database.close()


@pytest.fixture
def played(play):
    """One campaign alone."""
    return play()


def _text(moment):
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def test_a_clock_is_of_steps_and_of_the_start(played):
    ledger, name, _ = played
    clock = read_clock(ledger, name)
    assert clock.seconds == pytest.approx(2 + 1 + 3 * 5 + 3 * 10)
    assert clock.own_seconds == pytest.approx(2 + 1 + 3 * 5)
    first = clock.labels[0]
    assert (first.seconds, first.own_seconds) == pytest.approx((7 + 6.5, 7))
    assert clock.labels[5].seconds == pytest.approx(7 + 10 + 5 + 6.5)


def test_calls_side_by_side_count_once(played):
    ledger, name, database = played
    before = read_clock(ledger, name)
    # As if the first round's labels had come in a run of the step that was killed an hour ago.
    started = ledger.campaign(name).created + timedelta(hours=1)
    database.execute(
        "UPDATE steps SET started = ?, attempts = 2 WHERE round = 1 AND name = 'verify'",
        [_text(started)],
    )
    after = read_clock(ledger, name)
    assert [timed.seconds for timed in after.labels[:5]] == pytest.approx(
        [7 + 6.5 + 0.01 * i for i in range(5)]
    )
    assert after.seconds - before.seconds == pytest.approx(6.54)
    assert after.own_seconds == before.own_seconds


def test_what_was_taken_over_is_divided_by_the_calls_at_a_time(played):
    ledger, name, database = played
    database.execute(
        "UPDATE oracle_calls SET finished = datetime(finished, '-1 hour') WHERE key IN "
        "(SELECT oracle_key FROM labels WHERE round = 2)"
    )
    clock = read_clock(ledger, name)
    taken = [timed.seconds for timed in clock.labels if timed.label.round == 2]
    together = 10 * 6.5 / (2 * 6.54)  # of the ten that this campaign computed
    assert taken[-1] - taken[0] == pytest.approx(4 * 6.5 / together + 0.04)
    assert clock.seconds == pytest.approx(48 + 5 * 6.5 / together)


def test_where_all_was_taken_over_the_calls_at_a_time_are_those_of_who_computed(play):
    ledger, first, database = play()
    _, second, _ = play(timedelta(hours=1))
    assert read_clock(ledger, first).seconds == pytest.approx(48)
    clock = read_clock(ledger, second)
    together = 15 * 6.5 / (3 * 6.54)  # as if one after the other: 48 + 15 * 6.5
    assert len(clock.labels) == 15
    assert clock.seconds == pytest.approx(48 + 15 * 6.5 / together)
    taken = [timed.seconds for timed in clock.labels[:5]]
    assert taken[-1] - taken[0] == pytest.approx(4 * 6.5 / together + 0.04)
    # One call of its own says nothing of how many would have run beside it.
    own = clock.labels[0].label
    database.execute(
        "UPDATE oracle_calls SET finished = (SELECT time FROM labels WHERE campaign = ? AND "
        "candidate = ?) WHERE key = ?",
        [second, own.candidate, own.oracle_key],
    )
    together = 16 * 6.5 / (6.5 + 3 * 6.54)
    assert read_clock(ledger, second).seconds == pytest.approx(48 + 14 * 6.5 / together)


def test_campaigns_that_ran_side_by_side_are_no_batch_of_twice_the_size(play):
    ledger, first, _ = play()
    # At the same moments, so that both pass for who computed.
    play(ledger.campaign(first).created - datetime.now(UTC))
    _, third, _ = play(timedelta(hours=2))
    assert read_clock(ledger, third).seconds == pytest.approx(48 + 3 * 6.54)


def test_failed_calls_count_before_the_labels_of_the_next_round(played):
    ledger, name, _ = played
    found = read_outcome(ledger, name, "llm", 0, ())
    assert [c.number for c in found.calls] == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17]
    assert found.spent == 18


def test_a_start_without_a_mark_does_not_count_where_the_first_step_was_run_again(played):
    ledger, name, database = played
    created = ledger.campaign(name).created
    database.execute(
        "UPDATE steps SET started = ?, attempts = 2 WHERE round = 0",
        [_text(created + timedelta(minutes=10))],
    )
    assert read_clock(ledger, name).seconds == pytest.approx(46)
    ledger.event(name, GOES_ON)
    database.execute(
        "UPDATE events SET time = ? WHERE message = ?",
        [_text(created + timedelta(minutes=9)), GOES_ON],
    )
    assert read_clock(ledger, name).seconds == pytest.approx(46 + 60)
