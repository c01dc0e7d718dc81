"""A campaign from its start over HTTP to its download, driven by a process of its own."""

from __future__ import annotations

import io
import os
import time
import zipfile

import psutil
import pytest

from design_loop.detached import drivers
from tests.design_loop.campaign.quick_services import write_campaign

CAMPAIGN = {
    "name": "over-http",
    "host": {"name": "MoS2", "supercell": "4x4"},
    "rules": {"defects": ["V_Mo", "V_S", "W_Mo", "Se_S"]},
    "targets": ["homo_lumo_gap=0.6..0.9"],
    "rounds": 1,
    "dataset": "known",
    "proposer": {"kind": "random"},
    "generation": {"samples": 40},
    "surrogate": {"kind": "trees", "iterations": 1, "folds": 3},
    "selection": {"budget": 2},
    "oracle": {"kind": "table", "settings": {"dataset": "all"}},
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_start_to_download(connect, settings, workdir, tmp_path):
    write_campaign(tmp_path)  # and the two datasets that it works with
    names = {name: str(tmp_path / name) for name in ("known", "all")}
    settings = settings.model_copy(update={"datasets": names})
    client = connect(settings)
    started = client.post("/v1/campaigns", json=CAMPAIGN)
    assert started.status_code == 201, started.text
    name = started.json()["id"]
    path = f"/v1/campaigns/{name}"
    # One runs, which is as many as may; a second one is not even recorded.
    assert drivers(workdir) == [name]
    refused = client.post("/v1/campaigns", json=CAMPAIGN)
    assert refused.status_code == 429 and "Retry-After" in refused.headers
    assert len(client.get("/v1/campaigns").json()["data"]) == 1

    def until(condition):
        end = time.monotonic() + 300
        while not condition(found := client.get(path).json()):
            assert time.monotonic() < end, found
            time.sleep(0.2)
        return found

    until(lambda found: found["driven"])
    # Not a child of this process, and in a session of its own: it outlives the server.
    assert not [p for p in psutil.Process().children() if name in " ".join(p.cmdline())]
    [driver] = [
        p for p in psutil.process_iter(["cmdline"]) if name in " ".join(p.info["cmdline"] or ())
    ]
    assert os.getsid(driver.pid) == driver.pid

    # Another server, as after a restart, goes on with it.
    client = connect(settings)
    found = until(lambda found: found["state"] == "done")
    assert (found["rounds_done"], found["error"]) == (1, None)
    page = client.get(f"{path}/candidates").json()
    assert page["total"] == found["rounds"][1]["verified"] > 0
    reply = client.get(f"{path}/download")
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert sum(n.endswith(".cif") for n in archive.namelist()) == page["total"]
    psutil.wait_procs([driver], timeout=60)
    assert drivers(workdir) == []
    assert client.post(f"{path}/resume").status_code == 409
    log = (workdir / name / "logs" / "driver.log").read_text()
    assert f"campaign {name} done" in log
