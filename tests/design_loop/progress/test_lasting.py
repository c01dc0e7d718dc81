"""Nobody reads what a campaign tells: it goes on to its end, in silence."""

from __future__ import annotations

import errno
import io
import logging
import os
import subprocess
import sys
import time

import pytest
from fake_campaign import FakeCampaign
from rich.console import Console

from design_loop.campaign import driver
from design_loop.cli.output import StderrHandler
from design_loop.config import load_campaign
from design_loop.ledger import CampaignState, Ledger
from design_loop.progress.lasting import LastingProgress, LastingStream, lasting_output
from design_loop.progress.live import LiveProgress
from design_loop.progress.plain import PlainProgress
from tests.design_loop.campaign.steered_driver import write_steered


class Failing(io.StringIO):
    """A stream that cannot be written while `error` is set."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return super().write(text)


@pytest.fixture
def unread():
    """A pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stream:
        yield stream


@pytest.fixture
def left_terminal():
    """A terminal whose window is closed."""
    window, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        os.close(window)
        yield stream


def test_a_display_that_cannot_write_fails_no_campaign(tmp_path):
    out = Failing(errno.EPIPE)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        shown = LastingProgress(PlainProgress(out))
        with shown:
            name = FakeCampaign(ledger, tmp_path, shown).run()
        assert ledger.campaign(name).state is CampaignState.DONE
    assert shown.campaign == name
    assert out.getvalue() == ""


def test_a_log_goes_on_when_its_disk_has_room_again():
    out = Failing(errno.ENOSPC)
    shown = LastingProgress(PlainProgress(out))
    shown.message("warning", "lost")
    out.error = None
    shown.message("warning", "kept")
    assert out.getvalue() == "[  0:00] warning: kept\n"


def test_a_stream_without_reader_takes_everything(unread):
    stream = LastingStream(unread)
    for _ in range(3):
        print("word", file=stream, flush=True)
    assert stream.error.errno == errno.EPIPE
    # What does not ask the stream, such as a C library, gets no error either.
    assert os.write(stream.fileno(), b"word") == 4


def test_the_first_error_of_a_full_disk_is_kept_and_writing_goes_on():
    out = Failing(errno.ENOSPC)
    stream = LastingStream(out)
    stream.write("lost")
    out.error = None
    stream.writelines(["all ", "kept"])
    assert (out.getvalue(), stream.error.errno) == ("all kept", errno.ENOSPC)


def test_standard_streams_are_covered_and_given_back(unread, monkeypatch):
    monkeypatch.setattr(sys, "stdout", unread)
    before = sys.stdout, sys.stderr
    with lasting_output() as out:
        assert out is sys.stdout is not unread
        print("word")
    assert out.error.errno == errno.EPIPE
    assert (sys.stdout, sys.stderr) == before


def test_a_live_display_outlives_its_terminal(tmp_path, left_terminal, monkeypatch):
    """It draws in a thread of its own, and once more at the end."""
    failed = []
    monkeypatch.setattr("threading.excepthook", failed.append)
    monkeypatch.setattr(sys, "stderr", left_terminal)
    with lasting_output(), Ledger(tmp_path / "ledger.sqlite") as ledger:
        console = Console(file=sys.stderr, force_terminal=True, force_interactive=True)
        with LiveProgress(console) as shown:
            name = FakeCampaign(ledger, tmp_path, shown).run()
            time.sleep(0.6)  # two drawings
        assert ledger.campaign(name).state is CampaignState.DONE
    assert failed == []


def test_a_warning_that_nobody_reads_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Failing(errno.EPIPE))
    log = logging.Logger("unread")
    log.addHandler(StderrHandler())
    log.warning("a word")
    assert sys.stderr.getvalue() == ""


@pytest.mark.slow
def test_the_driver_needs_no_display(tmp_path):
    """A program's own display may fail, too: the campaign is done all the same."""
    config = load_campaign(write_steered(tmp_path))
    store = str(tmp_path / "ledger.sqlite")
    shown = PlainProgress(Failing(errno.EPIPE))
    summary = driver.start(config, tmp_path, store, shown)
    assert summary.campaign.state is CampaignState.DONE
    assert summary.funnel.verified > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("2>&1 | head -2 >/dev/null", 1),
        ("2> >(head -2) >results", 0),
        (">&- 2>&-", 0),
    ],
    ids=["pipe", "display", "closed"],
)
def test_a_command_runs_to_its_end_unread(tmp_path, output, code):
    """Code 1 as for any command whose results were not read; 0 where only the display was lost."""
    write_steered(tmp_path)
    command = f"{sys.executable} -m design_loop.cli campaign run campaign.yaml {output}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    with Ledger(tmp_path / "runs" / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
    assert (campaign.state, campaign.error) == (CampaignState.DONE, None)
    assert (tmp_path / "runs" / campaign.id / "report.html").is_file()
