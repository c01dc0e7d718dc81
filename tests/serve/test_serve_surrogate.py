"""The surrogate deployment without Ray: batches, versions, swaps, refusals."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.errors import ModelError
from defects.hosts import get_host
from serve.replies import error_reply
from serve.surrogate import SurrogateDeployment, answer_batch

VACANCY = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}


class Fake:
    """Predicts the number of defects; refuses tungsten."""

    properties = ("homo", "lumo")

    def __init__(self, version):
        self.version, self.calls = version, []

    def predict(self, configurations):
        self.calls.append(len(configurations))
        time.sleep(0.01)
        if any("W" in c.changes.values() for c in configurations):
            raise ValueError("tungsten is not known\nmore")

        class Predictions:
            properties = self.properties
            mean = np.array([[c.n_defects, -c.n_defects] for c in configurations], dtype=float)
            std = np.full((len(configurations), 2), 0.5)
            ood = np.array([c.n_defects > 2 for c in configurations])

        return Predictions


def load(folder):
    if "broken" in folder:
        raise ModelError("the folder is damaged")
    return Fake(folder)


@pytest.fixture(autouse=True)
def without_serve(monkeypatch):
    """`@serve.batch` works in a replica only: here each request is a batch of its own."""

    async def alone(self, request):
        if self._surrogate is None:
            return error_reply(self._error or "none yet", "surrogate_unavailable", 503)
        return answer_batch(self._surrogate, [request])[0]

    monkeypatch.setattr(SurrogateDeployment, "_predict_batch", alone)


@pytest.fixture
def deployment():
    return SurrogateDeployment([], load)


def run(coroutine):
    return asyncio.run(coroutine)


def test_before_the_first_surrogate_it_is_503(deployment):
    async def go():
        await deployment.reconfigure({"folder": None})
        return await deployment.predict([VACANCY])

    reply = run(go())
    assert (reply["status"], reply["body"]["error"]["type"]) == (503, "surrogate_unavailable")


def configurations(*counts):
    host = get_host("MoS2", (4, 4, 1))
    sites = range(host.n_sites)
    return [Configuration.from_changes(host, dict.fromkeys(sites[:n], "VAC")) for n in counts]


def test_a_batch_is_one_call_and_split_again():
    surrogate = Fake("v1")
    replies = answer_batch(surrogate, [configurations(1), configurations(2, 3), configurations(4)])
    assert surrogate.calls == [4]
    rows = [[p["mean"]["homo"] for p in r["body"]["predictions"]] for r in replies]
    assert rows == [[1.0], [2.0, 3.0], [4.0]]
    assert replies[0]["body"]["predictions"][0]["std"] == {"homo": 0.5, "lumo": 0.5}
    assert [p["ood"] for p in replies[1]["body"]["predictions"]] == [False, True]
    assert {r["body"]["version"] for r in replies} == {"v1"}


def test_a_swap_changes_the_version_and_a_bad_one_keeps_the_old(deployment):
    async def go():
        await deployment.reconfigure({"folder": "v1"})
        await deployment.reconfigure({"folder": "v2"})
        after = await deployment.predict([VACANCY])
        await deployment.reconfigure({"folder": "broken"})
        return after, await deployment.status(), await deployment.predict([VACANCY])

    after, status, still = run(go())
    assert after["body"]["version"] == still["body"]["version"] == "v2"
    assert status["version"] == "v2"
    assert "damaged" in status["error"]


@pytest.mark.parametrize(
    "item, part",
    [
        ({**VACANCY, "host": "/etc/passwd"}, "unknown host"),
        ({**VACANCY, "host": "x.cif"}, "unknown host"),
        ({**VACANCY, "host": ["MoS2"]}, "unknown host"),
        ({**VACANCY, "supercell": [10**6, 10**6, 1]}, "supercell"),
        ({**VACANCY, "supercell": "4x4"}, "supercell"),
        ({**VACANCY, "supercell": [True, True, True]}, "supercell"),
        ({**VACANCY, "defects": [[10**6, "VAC"]]}, "site"),
        ({**VACANCY, "defects": "abc"}, "not a configuration"),
        ({**VACANCY, "defects": [[0, "VAC"], [0, "Se"]]}, "twice"),
    ],
)
def test_what_is_no_configuration_is_422_and_named(deployment, item, part):
    async def go():
        await deployment.reconfigure({"folder": "v1"})
        return await deployment.predict([VACANCY, item])

    reply = run(go())
    assert reply["status"] == 422
    assert reply["body"]["error"]["message"].startswith("configuration 1: ")
    assert part in reply["body"]["error"]["message"]


def test_one_refused_request_does_not_fail_those_batched_with_it():
    host = get_host("MoS2", (4, 4, 1))
    tungsten = [Configuration.from_changes(host, {host.species.index("Mo"): "W"})]
    replies = answer_batch(Fake("v1"), [configurations(1), tungsten, configurations(2)])
    assert [r["status"] for r in replies] == [200, 422, 200]
    assert replies[1]["body"]["error"]["message"] == "tungsten is not known"


def test_hosts_from_files_are_named_never_opened_by_clients(tmp_path):
    from defects.structures import to_structure

    file = tmp_path / "MyHost.cif"
    pristine = Configuration(get_host("MoS2", (1, 1, 1)), ())
    to_structure(pristine).to(str(file), fmt="cif")
    deployment = SurrogateDeployment([str(file)], load)

    async def go(name):
        await deployment.reconfigure({"folder": "v1"})
        return await deployment.predict([{**VACANCY, "host": name}])

    assert run(go("MyHost"))["status"] == 200
    assert run(go(str(file)))["status"] == 422
