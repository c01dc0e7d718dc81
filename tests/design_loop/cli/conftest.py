"""The command line in this process: what it prints and the code it ends with."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass

import pytest
from fake_campaign import FakeCampaign

from design_loop.cli import main
from design_loop.ledger import Ledger


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run ``design-loop`` with these words."""

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["design-loop", *map(str, words)])
        handlers = logging.getLogger().handlers[:]
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        else:
            code = 0
        finally:
            logging.getLogger().handlers[:] = handlers
        text = capsys.readouterr()
        return Outcome(int(code or 0), text.out, text.err)

    return run


@pytest.fixture
def played(tmp_path):
    """A work folder with a finished campaign, and the campaign's id."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        return tmp_path, FakeCampaign(ledger, tmp_path).run()
