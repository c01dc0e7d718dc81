"""A campaign as a Ray job: its driver runs on the cluster, whatever becomes of this machine.

The job is the command line of a campaign, run on the head node. Only the campaign file travels with
it; datasets, models and the ledger have to be where the cluster can reach them.
"""

from __future__ import annotations

import re
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from defects.errors import ConfigError, DesignLoopError
from serve.cluster import quiet
from serve.config import LOOPBACK

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig

DASHBOARD = "http://127.0.0.1:8265"
_BEGAN = re.compile(r"^\[ *\d+:\d\d\] campaign (\S+):", re.MULTILINE)
_POLL_S = 1.0


class SubmitError(DesignLoopError):
    """The cluster does not take the job, or the job could not begin."""


@dataclass(frozen=True)
class Submitted:
    """A job that drives a campaign.

    Attributes
    ----------
    job : str
        Ray's id of it.
    campaign : str or None
        Id of the campaign; None if it had not begun when the wait was over.
    """

    job: str
    campaign: str | None


def check_store(store: str, address: str) -> str:
    """The ledger's address as the job gets it.

    Parameters
    ----------
    store : str
        A file on the head node, or a database.
    address : str
        Of the cluster's job server.

    Raises
    ------
    ConfigError
        It means another place on the cluster than here, or carries a password.
    """
    if "://" not in store:
        if not PurePosixPath(store).is_absolute():
            raise ConfigError(
                f"--store {store}: write the ledger's whole path on the head node (a relative one "
                "would be lost with the job), or postgresql://USER@HOST/NAME"
            )
        return store
    url = urlsplit(store)
    if url.password:
        raise ConfigError(
            "--store: a job's command is shown in Ray's dashboard, so it may hold no password; put "
            "it into ~/.pgpass on the head node"
        )
    tunnel = urlsplit(address).hostname in LOOPBACK
    if url.hostname in LOOPBACK and not tunnel:
        raise ConfigError(
            f"--store: on the cluster {url.hostname} is the head node, not this machine; name the "
            "database's host as the cluster sees it"
        )
    return store


def check_file(config: CampaignConfig) -> None:
    """Refuse relative paths: the job runs in another folder on another machine.

    Raises
    ------
    ConfigError
    """
    from defects.datasets import bundled_datasets

    names = {"dataset": config.dataset, "host.name": config.host.name}
    for i, call in enumerate(config.oracle.calls):
        if isinstance(call.settings.get("dataset"), str):
            names[f"oracle stage {i + 1}, dataset"] = call.settings["dataset"]
    if config.base_model.startswith("."):
        names["base_model"] = config.base_model
    for i, seed in enumerate(config.rules.seeds):
        if seed.strip().lower().endswith(".cif"):
            names[f"rules.seeds[{i}]"] = seed.strip()
    for place, name in names.items():
        if place == "host.name" and not name.lower().endswith(".cif"):
            continue
        if name not in bundled_datasets() and not PurePosixPath(name).is_absolute():
            raise ConfigError(
                f"{place}: {name} is a path of this machine; write the whole path on the cluster, "
                "where the job looks for it"
            )


def submit(
    text: str | None,
    resume: str | None,
    *,
    address: str,
    workdir: str,
    store: str,
    wait_s: float = 120.0,
) -> Submitted:
    """Hand a campaign to a cluster, and wait until its driver has begun.

    Parameters
    ----------
    text : str or None
        Content of a campaign file; None to resume.
    resume : str or None
        Id of a campaign in the cluster's ledger.
    address : str
        Of the cluster's job server (its dashboard): ``http://127.0.0.1:8265`` through
        ``ray dashboard cluster.yaml``.
    workdir : str
        Folder on the head node, a whole path.
    store : str
        The ledger as the cluster sees it; see `check_store`.
    wait_s : float
        How long to wait for the driver to say that it begins, s.

    Raises
    ------
    SubmitError
        The cluster does not answer, or the job ended before the campaign began; with the last
        lines of its output.
    """
    command = ["design-loop", "campaign"]
    command += ["run", "campaign.yaml"] if text is not None else ["resume", str(resume)]
    command += ["--workdir", workdir, "--store", store]
    client = _client(address)
    with tempfile.TemporaryDirectory(prefix="design-loop-") as folder:
        environment: dict[str, Any] = {"env_vars": {"PYTHONUNBUFFERED": "1"}}
        if text is not None:
            (Path(folder) / "campaign.yaml").write_text(text, encoding="utf-8")
            environment["working_dir"] = folder
        try:
            with quiet():
                job = client.submit_job(entrypoint=shlex.join(command), runtime_env=environment)
        except RuntimeError as error:
            raise SubmitError(f"{address}: the job was refused: {_short(str(error))}") from error
    return Submitted(job, _wait(client, job, wait_s))


def _client(address: str) -> Any:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    # Asked first and by hand: Ray's client would try for minutes. Whether its token is right, the
    # client knows.
    try:
        httpx.get(f"{address}/api/version", timeout=10, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SubmitError(
            f"{address}: no job server of Ray answers there ({type(error).__name__}). `ray "
            "dashboard cluster.yaml` makes a tunnel to a cluster's at http://127.0.0.1:8265"
        ) from error
    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise SubmitError(
            f"{address}: the cluster asks for a token: set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN_PATH to the file that holds it"
        ) from error
    except (ConnectionError, RuntimeError) as error:
        raise SubmitError(f"{address}: {_short(str(error))}") from error


def _wait(client: Any, job: str, wait_s: float) -> str | None:
    """Id of the campaign as soon as its driver names it."""
    end = time.monotonic() + wait_s
    while True:
        status = str(client.get_job_status(job))
        output = client.get_job_logs(job)
        found = _BEGAN.search(output)
        if found is not None:
            return found.group(1)
        if status in ("FAILED", "STOPPED", "SUCCEEDED"):
            info = client.get_job_info(job)
            said = "\n".join(output.strip().splitlines()[-5:]) or str(info.message)
            raise SubmitError(f"job {job} ended before the campaign began:\n{_short(said, 1500)}")
        if time.monotonic() > end:
            return None
        time.sleep(_POLL_S)


def _short(text: str, most: int = 400) -> str:
    return text.strip()[-most:]
