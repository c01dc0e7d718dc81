"""Runs the campaigns of a comparison, and goes on with one that was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from defects.errors import ConfigError
from design_loop.campaign import driver
from design_loop.campaign.context import load_data, settled
from design_loop.campaign.driver import StartServices
from design_loop.campaign.services import start_services
from design_loop.compare.arms import arm_config
from design_loop.compare.outcome import Outcome, read_outcome
from design_loop.compare.page import write_page
from design_loop.compare.tables import write_arms_csv, write_csv, write_json
from design_loop.config import CampaignConfig
from design_loop.ledger import CampaignState, Ledger
from design_loop.progress import Progress, SilentProgress

#: The task of a comparison, kept in its folder.
TASK = "task.yaml"


def compare(
    config: CampaignConfig,
    arms: Sequence[str],
    seeds: int,
    out: Path,
    *,
    progress: Callable[[str, int], Progress] = lambda arm, seed: SilentProgress(),
    services: StartServices = start_services,
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
        Gets ``compare.html``, ``compare.csv`` (a row per oracle call), ``arms.csv`` (a row per
        arm), ``compare.json``, the ledger and the campaigns' folders.
    progress : callable, optional
        Arm and seed to the display of that campaign.
    services : callable, optional
        Brings the models up; replaced in tests.

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
    store = str(out / "ledger.sqlite")
    found: list[Outcome] = []
    for arm, seed, planned_config in planned:
        campaign = _existing(store, planned_config)
        with progress(arm, seed) as display:
            if campaign is None:
                driver.start(planned_config, out, store, display, services, dataset)
            elif campaign[1] is not CampaignState.DONE:
                driver.resume(campaign[0], out, store, display, services, dataset)
        campaign = _existing(store, planned_config)
        assert campaign is not None
        with Ledger(store, create=False) as ledger:
            found.append(read_outcome(ledger, campaign[0], arm, seed, known))
        found.sort(key=lambda o: (arms.index(o.arm), o.seed))
        write_csv(found, config, out / "compare.csv")
        write_arms_csv(found, out / "arms.csv")
        write_json(found, config, out / "compare.json")
        write_page(found, config, out / "compare.html")
    return found


def _claim(out: Path, config: CampaignConfig) -> None:
    """Make the folder this task's, or refuse."""
    path, text = out / TASK, config.to_yaml()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                f"{out} holds the comparison of another task ({path}): give another --out, or the "
                "file as it was"
            )
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror or error}") from error


def _existing(store: str, config: CampaignConfig) -> tuple[str, CampaignState] | None:
    """Id and state of the campaign of a configuration, if it was begun."""
    if not Path(store).exists():
        return None
    with Ledger(store, create=False) as ledger:
        for campaign in ledger.campaigns():
            if campaign.config_hash == config.content_hash:
                return campaign.id, campaign.state
    return None
