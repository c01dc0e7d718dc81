"""The API with the routes of campaigns over a ledger with a finished campaign."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_campaign import FakeCampaign
from fastapi.testclient import TestClient

from design_loop.ledger import Ledger
from design_loop.server.campaigns import CampaignRoutes
from design_loop.server.settings import CampaignsSettings
from serve.api import build_api
from serve.config import ServeConfig

sys.path.append(str(Path(__file__).parents[2] / "serve"))
from fake_backend import FakeBackend


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def settings(workdir):
    return CampaignsSettings(workdir=workdir)


@pytest.fixture
def ledger(settings):
    with Ledger(settings.ledger) as opened:
        yield opened


@pytest.fixture
def played(ledger, workdir):
    """Id of a finished campaign."""
    return FakeCampaign(ledger, workdir).run()


@pytest.fixture
def connect():
    """A client of an application with given settings."""

    def made(settings, **serve):
        api = build_api(ServeConfig(**serve), FakeBackend(), [CampaignRoutes(settings)])
        return TestClient(api, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return made


@pytest.fixture
def client(connect, settings):
    return connect(settings)


@pytest.fixture
def launched(monkeypatch):
    """Drivers that would have been started; none is."""
    calls = []

    def launch(campaign, workdir, store, expected, most):
        calls.append((campaign, str(expected)))
        return 1

    monkeypatch.setattr("design_loop.server.control.launch", launch)
    return calls
