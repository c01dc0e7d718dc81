"""Several services in one Ray cluster: each has applications of its own, and ends by itself."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from fake_backend import FakeBackend
from fake_surrogate import write as write_surrogate
from fastapi.testclient import TestClient

from defects.errors import ConfigError, ModelError
from serve.api import build_api
from serve.app import _address_of
from serve.client import ServeClient
from serve.config import ServeConfig
from serve.names import AppNames, title_of

HERE = Path(__file__).parent
VACANCY = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}
A, B = AppNames("campaign-a"), AppNames("campaign-b")


def test_owners_share_no_name_and_the_server_keeps_its_own():
    served = AppNames()
    assert served.all == ("design-loop-api", "design-loop-surrogate", "design-loop-llm")
    assert served.route == "/"
    names = [name for apps in (served, A, B) for name in (*apps.all, apps.route)]
    assert len(set(names)) == len(names)
    assert title_of(A.surrogate) == title_of(served.surrogate) == "the surrogate"


@pytest.mark.parametrize("owner", ["", "../x", "a/b", "A", "-a", "a b"])
def test_an_owner_is_no_route_of_its_own_making(owner):
    with pytest.raises(ConfigError, match="cannot name a service"):
        AppNames(owner)


def test_a_serve_that_runs_is_used_only_where_it_may_be():
    def listening(host, port=8000):
        return SimpleNamespace(host=host, port=port, root_path="")

    config = ServeConfig(surrogate=Path("s"))
    assert _address_of(listening("127.0.0.1"), config) == "http://127.0.0.1:8000"
    with pytest.raises(ModelError, match=r"0\.0\.0\.0:8000, for more than this machine"):
        _address_of(listening("0.0.0.0"), config)
    with pytest.raises(ModelError, match="port 8000 already, not 8123"):
        _address_of(listening("127.0.0.1"), config.model_copy(update={"port": 8123}))


def test_the_api_answers_below_a_campaigns_route():
    # As Serve hands requests on: the prefix in the path, and as the root path.
    api = build_api(ServeConfig(surrogate=Path("s")), FakeBackend())
    client = TestClient(api, base_url="http://127.0.0.1", root_path=A.route)
    assert client.get(f"{A.route}/healthz").json()["status"] == "ok"
    body = {"configurations": [VACANCY]}
    assert client.post(f"{A.route}/v1/predict", json=body).json()["version"] == "v1"
    assert client.get(f"{A.route}/nope").status_code == 404


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def environment():
    """Of the cluster's processes and of the drivers that join it."""
    paths = [str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in paths if p),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Else a token that some other Ray has left for this user would be asked for.
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_register_timeout_seconds": "180",
        "RAY_worker_niceness": "0",  # not the last of a busy machine
    }


@pytest.fixture
def cluster(tmp_path, environment):
    """Address of a Ray that lives on when drivers end."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *("--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "4"),
        *("--include-dashboard", "false", "--disable-usage-stats"),
        *("--ray-client-server-port", str(free_port())),
    ]
    with (tmp_path / "ray.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    end = time.monotonic() + 900
    while "Ray runtime started" not in (tmp_path / "ray.log").read_text():
        assert time.monotonic() < end and process.poll() is None, (tmp_path / "ray.log").read_text()
        time.sleep(0.5)
    yield f"127.0.0.1:{port}"
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.terminate()  # `ray start --block` takes its node down with it
    _, left = psutil.wait_procs(family, timeout=60)
    for each in left:
        each.kill()


class Driver:
    """A service in a process of its own, in the cluster of `environment`."""

    def __init__(self, folder: Path, apps: AppNames, surrogate: Path, environment: dict) -> None:
        self.errors = folder / f"{apps.owner}.txt"
        file = folder / f"{apps.owner}.json"
        file.write_text(ServeConfig(surrogate=surrogate).model_dump_json())
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "serve_driver.py"), str(file), str(apps.owner)],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True,
            )  # fmt: skip
        self.url = self._answer()["url"]

    def ask(self, **command: object) -> dict:
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def version(self) -> str:
        """Of the surrogate that predicts under this service's address."""
        with ServeClient(self.url, timeout_s=120) as client:
            return client.predict([VACANCY]).version

    def close(self) -> int:
        self.process.stdin.close()
        return self.process.wait(timeout=300)

    def _answer(self) -> dict:
        ready, _, _ = select.select([self.process.stdout], [], [], 900)
        line = self.process.stdout.readline() if ready else ""
        assert line, self.errors.read_text()
        return json.loads(line)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_each_service_of_a_cluster_ends_and_begins_by_itself(cluster, environment, tmp_path):
    folders = {v: write_surrogate(tmp_path / v, v) for v in ("a1", "a2", "b1", "b2")}
    environment["RAY_ADDRESS"] = cluster
    drivers = []

    def start(apps, version):
        drivers.append(Driver(tmp_path, apps, folders[version], environment))
        return drivers[-1]

    def running(driver):
        return driver.ask(apps=True)["apps"]

    try:
        a, b = start(A, "a1"), start(B, "b1")
        assert (a.version(), b.version()) == ("a1", "b1")
        of_b = sorted([B.api, B.surrogate])
        both = sorted([A.api, A.surrogate, *of_b])
        assert running(b) == both

        # A driver that is killed leaves its applications in the cluster; the next one of the same
        # campaign puts its own in their place.
        a.process.send_signal(signal.SIGKILL)
        a.process.wait(timeout=60)
        assert (running(b), a.version(), b.version()) == (both, "a1", "b1")
        again = start(A, "a2")
        assert (again.url, again.version(), b.version()) == (a.url, "a2", "b1")
        assert running(b) == both

        assert b.ask(swap=str(folders["b2"])) == {"version": "b2"}
        assert (again.version(), b.version()) == ("a2", "b2")

        assert again.close() == 0
        assert running(b) == of_b
        assert b.version() == "b2"
        assert b.close() == 0
    finally:
        for driver in drivers:
            driver.process.kill()
