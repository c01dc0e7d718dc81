"""The dashboard and the report in a real browser: laptop and phone, light and dark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_campaign import FakeCampaign

sys.path.insert(0, str(Path(__file__).parents[2] / "serve"))

from design_loop.compare.page import write_page
from design_loop.config import load_preset
from design_loop.dashboard.alone import build_alone
from design_loop.dashboard.store import Store
from design_loop.ledger import Ledger
from design_loop.report import write_report
from tests.design_loop.compare.made_up import outcome

pytestmark = pytest.mark.slow
LAPTOP, PHONE = (1280, 800), (390, 844)

TABS = ("", "/candidates", "/candidates?which=predicted", "/samples", "/agreement", "/models",
        "/settings", "/log")  # fmt: skip
PROBLEMS = Path(__file__).with_name("problems.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def ledger(folder):
    with Ledger(folder / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture(scope="module")
def finished(ledger, folder):
    return FakeCampaign(ledger, folder).run()


@pytest.fixture(scope="module")
def address(folder, serving, finished):
    store = Store(str(folder / "ledger.sqlite"), frank=True)
    with serving(build_alone(store)) as where:
        yield f"{where}/dashboard"
    store.close()


@pytest.mark.parametrize(
    ("size", "dark"), [(LAPTOP, False), (PHONE, True)], ids=["laptop-light", "phone-dark"]
)
def test_all_pages_look_right_and_say_nothing_on_the_console(
    browser, address, finished, ledger, size, dark
):
    browser.size(*size, dark=dark)
    key = ledger.labels(finished)[0].candidate
    base = f"{address}/campaigns/{finished}"
    for page in (f"{address}/", *(base + tab for tab in TABS), f"{base}/candidates/{key}"):
        browser.open(page)
        assert browser.run(PROBLEMS) == [], page
        assert browser.complaints() == [], page


def test_the_other_two_schemes(browser, address, finished):
    """Colours of light on a phone and dark on a laptop, where most kinds of things are."""
    for size, dark in ((PHONE, False), (LAPTOP, True)):
        browser.size(*size, dark=dark)
        for page in (f"{address}/", f"{address}/campaigns/{finished}"):
            browser.open(page)
            assert browser.run(PROBLEMS) == []


def test_problems_are_found(browser):
    """The check of looks can fail."""
    page = (
        "<p style='color: %23aaa'>faint</p><p style='width: 2000px'>wide</p>"
        "<input><p style='position: absolute; left: 380px; width: 90px'>out</p>"
    )
    browser.size(*PHONE)
    browser.open(f"data:text/html,<meta name='viewport' content='width=390'>{page}")
    found = browser.run(PROBLEMS)
    assert any(words.startswith("faint, 2.") for words in found)
    assert "sticks out: out" in found
    assert any(words.startswith("has no name: <input") for words in found)
    assert "the page scrolls sideways" in found


def test_the_viewer_draws_and_obeys(browser, address, finished, ledger):
    browser.size(*PHONE)
    key = ledger.labels(finished)[0].candidate
    browser.open(f"{address}/campaigns/{finished}/candidates/{key}")
    browser.wait("document.querySelector('.viewer').dataset.state === 'ready'")
    picture = "document.querySelector('.canvas canvas').toDataURL()"

    def press(what):
        browser.run(f"document.querySelector('[data-do={what}]').click()")
        return browser.run(f"return {picture}")

    first = press("reset")
    assert len(first) > 3000  # an empty canvas is a tenth of that
    assert press("above") != first
    assert press("reset") == first
    assert press("labels") != first
    assert browser.run("return document.querySelector('[data-do=labels]').ariaPressed") == "false"
    assert press("labels") == first
    turn = "new KeyboardEvent('keydown', {key: 'ArrowLeft'})"
    browser.run(f"document.querySelector('.canvas').dispatchEvent({turn})")
    assert browser.run(f"return {picture}") != first
    assert browser.complaints() == []


def test_a_running_campaign_is_followed_to_its_failure(browser, address, ledger, folder):
    browser.size(*LAPTOP)
    campaign = FakeCampaign(ledger, folder)
    name = campaign.run(rounds=1)
    with ledger.lease(name):
        ledger.start_round(name, 2)
        browser.open(f"{address}/campaigns/{name}")
        live = "document.querySelector('[data-live]')"
        assert "round 2 of 3" in browser.run(f"return {live}.innerText")
        with ledger.step(name, 2, "generate"):
            browser.wait(f"{live}.innerText.includes('round 2 of 3, generate')")
        ledger.event(name, "news", level="warning")
        ledger.set_campaign_state(name, "failed", error="OracleError: the disk is full")
        browser.wait(f"{live}.innerText.includes('the disk is full')")
    assert browser.run(f"return {live}.querySelector('.badge').innerText") == "failed"
    assert browser.run(PROBLEMS) == []
    assert browser.complaints() == []


def test_the_rest_of_the_page_follows_too(browser, address, ledger, folder):
    """A round that ends while the page is open brings its figures, and keeps what is unfolded."""
    campaign = FakeCampaign(ledger, folder)
    name = campaign.run(rounds=1)
    with ledger.lease(name):
        browser.open(f"{address}/campaigns/{name}")
        browser.run("document.querySelector('[data-refresh] details').open = true")
        assert not browser.run("return document.body.innerText.includes('round 2')")
        campaign._round(2)
        rows = "document.querySelectorAll('[aria-label=rounds] tbody tr').length"
        browser.wait(f"{rows} === 2")
    assert browser.run("return document.querySelector('[data-refresh] details').open")
    assert browser.complaints() == []


def test_a_browser_logs_in_with_a_key(browser, serving, folder, finished, tmp_path):
    from fake_backend import FakeBackend

    from design_loop.server.extensions import extensions_of
    from design_loop.server.settings import CampaignsSettings, ServerSettings
    from serve.api import build_api
    from serve.config import ServeConfig
    from serve.keys import KeyFile

    keys = KeyFile(tmp_path / "keys.json")
    text, _ = keys.create("anna", ["read"])
    config = ServeConfig(base_model="m", keys=keys.path)
    settings = ServerSettings(config, CampaignsSettings(workdir=folder))
    browser.size(*PHONE)
    with serving(build_api(config, FakeBackend(), extensions_of(settings))) as where:
        browser.open(f"{where}/dashboard/campaigns/{finished}")
        assert browser.run("return location.pathname") == "/dashboard/login"
        assert browser.run(PROBLEMS) == []
        field = "document.getElementById('key')"
        browser.run(f"{field}.value = arguments[0]; {field}.form.submit()", text)
        browser.wait(f"location.pathname === '/dashboard/campaigns/{finished}'")
        assert text not in browser.run(
            "return location.href + document.cookie + document.body.innerHTML"
        )
        browser.run("document.querySelector('.top form').submit()")
        browser.wait("location.pathname === '/dashboard/login'")
        assert browser.complaints() == []


@pytest.mark.parametrize(("size", "dark"), [(LAPTOP, False), (PHONE, True)])
def test_the_report_alone(browser, ledger, finished, tmp_path, size, dark):
    path = write_report(ledger, finished, tmp_path / "report.html")
    browser.size(*size, dark=dark)
    browser.open(path.as_uri())
    browser.wait("document.querySelector('.viewer').dataset.state === 'ready'")
    assert browser.run(PROBLEMS) == []
    options = "document.querySelector('.viewer select')"
    said = "document.querySelector('.canvas').ariaLabel"
    first = browser.run(f"return {said}")
    browser.run(f"{options}.selectedIndex = 1; {options}.dispatchEvent(new Event('change'))")
    assert browser.run(f"return {said}") != first
    assert browser.complaints() == []
    fetched = "performance.getEntriesByType('resource').map((each) => each.name)"
    assert [a for a in browser.run(f"return {fetched}") if a.startswith("http")] == []


@pytest.mark.parametrize(("size", "dark"), [(LAPTOP, False), (PHONE, True)])
def test_a_comparison(browser, tmp_path, size, dark):
    arms = ("random", "random-wide", "genetic", "tpe", "gibbs", "nearest", "llm", "llm-frozen")
    made = [outcome(arm, seed, [0.0, 0.1, 0.0]) for arm in arms for seed in range(3)]
    path = tmp_path / "compare.html"
    write_page(made, load_preset("quickstart", check=False), 1.0, path)
    browser.size(*size, dark=dark)
    browser.open(path.as_uri())
    assert browser.run(PROBLEMS) == []
    assert browser.complaints() == []
    # Wide tables scroll by themselves, and with the keyboard.
    tables = "[...document.querySelectorAll('.scroll[tabindex]')]"
    assert browser.run(f"return {tables}.length") == 5
    wide = browser.run(f"return {tables}.some((each) => each.scrollWidth > each.clientWidth)")
    assert wide == (size == PHONE)
