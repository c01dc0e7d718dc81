"""A campaign as a Ray job: what is refused beforehand, and a real job on a real cluster."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from defects.errors import ConfigError
from design_loop.config import parse_campaign
from design_loop.ledger import CampaignState, Ledger
from design_loop.submit import SubmitError, check_file, check_store, submit

LOCAL, REMOTE = "http://127.0.0.1:8265", "http://head.example.org:8265"
CAMPAIGN = """\
name: as-a-job
host: {name: MoS2, supercell: 4x4}
rules: {defects: [V_S, W_Mo, Se_S]}
targets: [homo_lumo_gap=0.6..0.9]
rounds: 1
dataset: xtb-mos2-4x4
proposer: {kind: random}
generation: {samples: 16}
surrogate: {kind: trees, iterations: 1, folds: 3}
selection: {budget: 2}
learn: {last_round: false}
oracle: {kind: table, settings: {dataset: xtb-mos2-4x4}}
"""


@pytest.mark.parametrize(
    "store, address, part",
    [
        ("runs/ledger.sqlite", LOCAL, "whole path on the head node"),
        ("postgresql://me:secret@db/name", LOCAL, "no password"),
        ("postgresql://me@localhost/name", REMOTE, "is the head node, not this machine"),
    ],
)
def test_a_ledger_that_the_cluster_would_not_find(store, address, part):
    with pytest.raises(ConfigError, match=part) as failed:
        check_store(store, address)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("store", ["/data/ledger.sqlite", "postgresql://me@db.example.org/name"])
def test_a_ledger_that_it_finds(store):
    assert check_store(store, REMOTE) == store


def test_paths_of_this_machine_are_refused():
    check_file(parse_campaign(CAMPAIGN))
    with pytest.raises(ConfigError, match="dataset: data/mine is a path of this machine"):
        check_file(
            parse_campaign(CAMPAIGN.replace("dataset: xtb-mos2-4x4\n", "dataset: data/mine\n"))
        )
    check_file(parse_campaign(CAMPAIGN.replace("dataset: xtb-mos2-4x4\n", "dataset: /data/mine\n")))
    seeded = CAMPAIGN.replace("Se_S]}", "Se_S], seeds: [S1 3 0 VAC, /data/divacancy.cif]}")
    check_file(parse_campaign(seeded))
    with pytest.raises(ConfigError, match=r"rules.seeds\[1\]: divacancy.cif is a path of this"):
        check_file(parse_campaign(seeded.replace("/data/", "")))


def test_nobody_answers(tmp_path):
    with pytest.raises(SubmitError, match="no job server of Ray answers there"):
        submit(CAMPAIGN, None, address=f"http://127.0.0.1:{_free_port()}", workdir=str(tmp_path),
               store=str(tmp_path / "l.sqlite"))  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path):
    """Address of the job server of a Ray of our own; ended by its process ids."""
    dashboard, gcs = _free_port(), _free_port()
    environment = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Else a token that some other Ray has left for this user would be asked for.
        "RAY_AUTH_MODE": "disabled",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *("--node-ip-address", "127.0.0.1", "--port", str(gcs), "--num-cpus", "2"),
        *("--include-dashboard", "true", "--dashboard-host", "127.0.0.1"),
        *("--dashboard-port", str(dashboard), "--ray-client-server-port", str(_free_port())),
        *("--dashboard-agent-listen-port", str(_free_port()), "--disable-usage-stats"),
    ]
    with (tmp_path / "ray.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{dashboard}"
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.terminate()  # `ray start --block` takes its node down with it
    _, left = psutil.wait_procs(family, timeout=60)
    for each in left:
        each.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_runs_the_campaign_to_its_end_on_the_cluster(cluster, tmp_path):
    import httpx

    def up() -> bool:
        try:
            httpx.get(f"{cluster}/api/version", trust_env=False)
        except httpx.HTTPError:
            return False
        return True

    end = time.monotonic() + 300
    while not up():
        assert time.monotonic() < end, (tmp_path / "ray.log").read_text()
        time.sleep(0.5)
    store = tmp_path / "head" / "ledger.sqlite"
    place = {"address": cluster, "workdir": str(tmp_path / "head"), "store": str(store)}
    made = submit(CAMPAIGN, None, **place, wait_s=240)
    assert re.fullmatch(r"as-a-job-\d{8}-\w{4}", made.campaign or "")
    with Ledger(store, create=False) as ledger:

        def wait_until_done() -> None:
            end = time.monotonic() + 240
            while ledger.campaign(made.campaign).state is not CampaignState.DONE:
                assert time.monotonic() < end, ledger.events(made.campaign)
                time.sleep(0.5)

        # Only the cluster drives it: this process asks and looks, nothing more.
        wait_until_done()
        ledger.extend(made.campaign, rounds=1)
        _submit_and_die(made.campaign, cluster, place)
        wait_until_done()
        assert [r.number for r in ledger.rounds(made.campaign)] == [0, 1, 2]


def _submit_and_die(campaign: str, cluster: str, place: dict[str, str]) -> None:
    """Submit by the command line, and kill that as soon as the cluster has the job."""
    from ray.job_submission import JobSubmissionClient

    jobs = JobSubmissionClient(cluster)
    before = len(jobs.list_jobs())
    submitter = subprocess.Popen(
        [
            *(sys.executable, "-m", "design_loop.cli", "campaign", "submit", "--resume", campaign),
            *(part for name, value in place.items() for part in (f"--{name}", value)),
        ],
        start_new_session=True,
    )
    end = time.monotonic() + 300
    while len(jobs.list_jobs()) == before:
        assert time.monotonic() < end
        assert submitter.poll() is None, "it ended before there was a job"
        time.sleep(0.05)
    os.killpg(submitter.pid, signal.SIGKILL)
    assert submitter.wait(20) == -signal.SIGKILL, "it had ended by itself"
