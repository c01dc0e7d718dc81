"""Drives the campaign of a folder on a real Ray; chaos_cluster.py runs and kills it.

    python benchmarks/chaos_cluster_driver.py FOLDER

Ends with 0 where the campaign came to its end. With a surrogate in the folder (``served``) it is
that of a campaign without a language model whose surrogate is on Ray Serve all the same, as one
with a model has it: a start takes seconds instead of a minute. A surrogate that another campaign
has fitted to the same labels is copied.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from chaos_driver import campaigns, remember_fits

from design_loop.campaign import driver
from design_loop.campaign.services import RayServices, Services, start_services
from design_loop.config import CampaignConfig, load_campaign
from design_loop.progress import campaign_progress

#: Folder of a surrogate that Serve begins with.
SERVED = "served"


def surrogate_on_serve(
    config: CampaignConfig, folder: Path, tell: Callable[[str], None]
) -> Services:
    """The services of a campaign with a language model, without it."""
    from serve.app import deploy
    from serve.client import ServeClient
    from serve.config import ServeConfig

    served = ServeConfig(
        surrogate=folder.parents[1] / SERVED,
        log_dir=folder / "logs",
        ray_cpus=config.resources.cpus,
    )
    handle = deploy(served, tell)
    return RayServices(handle, ServeClient(handle.base_url))


def drive(folder: Path) -> None:
    """Start the campaign of a folder, or go on with it."""
    warnings.simplefilter("ignore")
    remember_fits(folder.parent / "fits")
    store = str(folder / "runs" / "ledger.sqlite")
    services = surrogate_on_serve if (folder / SERVED).exists() else start_services
    names = campaigns(folder)
    with campaign_progress() as progress:
        if names:
            driver.resume(names[0], folder / "runs", store, progress, services)
        else:
            config = load_campaign(folder / "campaign.yaml")
            driver.start(config, folder / "runs", store, progress, services)


if __name__ == "__main__":
    drive(Path(sys.argv[1]))
