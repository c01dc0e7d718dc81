"""Runs the campaigns of a comparison, and goes on with one that was stopped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from defects.errors import ConfigError, DesignLoopError
from design_loop.campaign import driver
from design_loop.campaign.context import load_data, settled
from design_loop.campaign.driver import StartServices
from design_loop.campaign.services import start_services
from design_loop.compare.arms import arm_config
from design_loop.compare.clock import GOES_ON
from design_loop.compare.files import write_files
from design_loop.compare.outcome import Outcome, read_outcome
from design_loop.compare.page import write_page
from design_loop.config import CampaignConfig, load_campaign
from design_loop.ledger import CampaignState, Ledger
from design_loop.progress import Progress, SilentProgress

#: The task of a comparison, kept in its folder.
TASK = "task.yaml"
#: How often a campaign is gone on with whose process was killed.
REVIVALS = 2
#: Assumed hours of an oracle call: DFT on a few cores.
CALL_HOURS = 1.0

#: Folder, arm and seed of a campaign: begins it, or goes on with it, and returns at its end.
Drive = Callable[[Path, str, int], None]


def drive_here(
    out: Path,
    arm: str,
    seed: int,
    *,
    progress: Progress | None = None,
    services: StartServices = start_services,
) -> None:
    """Drive one campaign of a comparison to its end, in this process.

    Parameters
    ----------
    out : Path
        The comparison's folder; the task is read from it.
    arm, seed
        Which campaign.
    progress : Progress, optional
        Its display.
    services : callable, optional
        Brings the models up; replaced in tests.
    """
    config = load_campaign(out / TASK)
    dataset = load_data(config)
    planned = arm_config(settled(config, dataset), arm, seed)
    store = _store(out)
    display = progress or SilentProgress()
    campaign = _existing(store, planned)
    with display:
        if campaign is None:
            driver.start(planned, out, store, display, services, dataset)
        elif campaign[1] is not CampaignState.DONE:
            with Ledger(store, create=False, upgrade=True) as ledger:
                ledger.event(campaign[0], GOES_ON)
            driver.resume(campaign[0], out, store, display, services, dataset)


def drive_in_child(out: Path, arm: str, seed: int) -> None:
    """Drive one campaign in a process of its own, which gets this one's terminal.

    Campaigns of one process follow each other in one Ray client, one allocator and one table of
    loaded libraries: an hour's comparison was ended by a fault of the second campaign's start.

    Raises
    ------
    DesignLoopError
        When the campaign ended with an error, or its process was killed again and again.
    KeyboardInterrupt
        When it was stopped by Ctrl-C.
    """
    module = [sys.executable, "-m", "design_loop.cli"]
    command = [*module, "bench", "one", str(out), arm, str(seed)]
    for _ in range(1 + REVIVALS):
        with subprocess.Popen(command) as child:
            try:
                code = child.wait()
            except KeyboardInterrupt:
                # Ctrl-C reached the child, too; a signal to this process alone did not.
                child.terminate()
                child.wait()
                raise
        if code == 0:
            return
        if code == 130:
            raise KeyboardInterrupt
        if code > 0:
            raise DesignLoopError(f"{arm}, seed {seed}: the campaign stopped, see above")
        print(f"{arm}, seed {seed}: ended by signal {-code}; going on with it", file=sys.stderr)
    raise DesignLoopError(
        f"{arm}, seed {seed}: its process was killed {1 + REVIVALS} times, the last time by signal "
        f"{-code}; the same command goes on"
    )


def compare(
    config: CampaignConfig,
    arms: Sequence[str],
    seeds: int,
    out: Path,
    *,
    call_hours: float = CALL_HOURS,
    drive: Drive = drive_in_child,
) -> list[Outcome]:
    """Run every arm with every seed, and write the figures after each.

    All campaigns share one ledger in `out`: what one had the oracle compute, no other computes
    again. The same call on the same folder goes on where the last one stopped, and may name more
    arms and seeds.

    Parameters
    ----------
    config : CampaignConfig
        The task; its proposer and seed are replaced.
    arms : sequence of str
        Names of `design_loop.compare.arms.ARMS`.
    seeds : int
        How many.
    out : Path
        Gets ``compare.html``, what `design_loop.compare.files.write_files` writes, the ledger and
        the campaigns' folders.
    call_hours : float
        What an oracle call is assumed to take where hits at equal wall time are told a second time;
        0 leaves that out.
    drive : callable, optional
        Drives one campaign; in a process of its own by default.

    Returns
    -------
    list of Outcome
        By arm in the order given, then by seed.

    Raises
    ------
    ConfigError
        When an arm is unknown, or the folder holds the comparison of another task.
    """
    arms = list(dict.fromkeys(arms))
    dataset = load_data(config)
    task = settled(config, dataset)  # as the driver does: a campaign is found again by its settings
    planned = [(arm, seed, arm_config(task, arm, seed)) for seed in range(seeds) for arm in arms]
    known = frozenset(r.configuration.key for r in dataset if r.properties)
    _claim(out, config)
    store = _store(out)
    found: list[Outcome] = []
    for arm, seed, planned_config in planned:
        campaign = _existing(store, planned_config)
        if campaign is None or campaign[1] is not CampaignState.DONE:
            drive(out, arm, seed)
        campaign = _existing(store, planned_config)
        assert campaign is not None
        with Ledger(store, create=False, upgrade=True) as ledger:
            found.append(read_outcome(ledger, campaign[0], arm, seed, known))
        found.sort(key=lambda o: (arms.index(o.arm), o.seed))
        write_files(found, config, call_hours, out)
        write_page(found, config, call_hours, out / "compare.html")
    return found


def _claim(out: Path, config: CampaignConfig) -> None:
    """Make the folder this task's, or refuse."""
    path, text = out / TASK, config.to_yaml()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        elif not _says(yaml.safe_load(path.read_text(encoding="utf-8")), config):
            raise ConfigError(
                f"{out} holds the comparison of another task ({path}): give another --out, or the "
                "file as it was"
            )
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path} is no YAML any more: {getattr(error, 'problem', error)}"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror or error}") from error


def _store(out: Path) -> str:
    return str(out / "ledger.sqlite")


def _existing(store: str, config: CampaignConfig) -> tuple[str, CampaignState] | None:
    """Id and state of the campaign of a configuration, if it was begun."""
    if not Path(store).exists():
        return None
    with Ledger(store, create=False, upgrade=True) as ledger:
        for campaign in ledger.campaigns():
            if _says(campaign.config, config):
                return campaign.id, campaign.state
    return None


def _says(recorded: Any, config: CampaignConfig) -> bool:
    """Whether what was recorded means this; settings that came since then have their defaults."""
    try:
        return CampaignConfig.model_validate(recorded).content_hash == config.content_hash
    except ValidationError:
        return False
