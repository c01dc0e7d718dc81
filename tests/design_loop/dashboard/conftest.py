"""A real browser: Debian's Chromium over its driver, with a fresh profile."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
    # 3D by software where there is no graphics card.
    "--enable-unsafe-swiftshader",
)  # fmt: skip


@dataclass
class Browser:
    """What tests ask of a browser."""

    driver: object

    def size(self, width, height, dark=False):
        """Look like a laptop or a phone, light or dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, address):
        """Load a page; what earlier ones said is forgotten."""
        self.driver.get_log("browser")
        self.driver.get(address)

    def run(self, script, *arguments):
        """Run a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script, seconds=60):
        """Wait until a script's value is true; returns it."""
        end = time.monotonic() + seconds
        while True:
            found = self.run(f"return {script}")
            if found or time.monotonic() > end:
                assert found, f"not within {seconds} s: {script}"
                return found
            time.sleep(0.1)

    def complaints(self):
        """Errors on the console, breaches of the content security policy among them."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests, since its start takes seconds."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with its driver here (Debian: chromium, chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tempfile.mkdtemp(prefix="chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(chromium)
    finally:
        chromium.quit()
        shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture(scope="session")
def serving():
    """Serve applications on the loopback address: ``with serving(app) as address``."""
    import uvicorn

    @contextmanager
    def serve(app):
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)

    return serve
