"""A campaign's context with a real ledger and data, and a surrogate that is a known formula."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from defects.configuration import Configuration
from defects.datasets import bundled_dataset, write_dataset
from defects.datasets.dataset import Dataset, Record
from design_loop.campaign.context import Context
from design_loop.campaign.control import Control
from design_loop.campaign.propose import check, generate
from design_loop.config import parse_campaign
from design_loop.ledger import Ledger
from design_loop.progress import SilentProgress
from serve.client import RemotePredictions

FILE = """\
name: known
seed: 5
host: {{name: MoS2, supercell: 4x4}}
rules: {{defects: [V_Mo, V_S, W_Mo, Se_S], min_defects: 2, max_defects: 4}}
targets:
  - {{property: homo_lumo_gap, min: 0.2, max: 0.3}}
dataset: {dataset}
proposer: {proposer}
generation: {{samples: {samples}, per_prompt: 4}}
selection: {{budget: 2, quantile: 1}}
oracle: {{kind: {oracle}}}
"""


#: Nobody changes it: read once for all tests instead of a second for each.
_shipped = functools.cache(lambda: bundled_dataset("xtb-mos2-4x4"))


def gap(configuration: Configuration) -> float:
    """A gap that falls with every vacancy and with near pairs; the target asks for many."""
    counts = configuration.counts()
    sites = [d.site for d in configuration.defects]
    distances = configuration.host.distances
    near = sum(distances[a, b] < 3.3 for i, a in enumerate(sites) for b in sites[:i])
    return 1.8 - 0.3 * counts["V_S"] - 0.5 * counts["V_Mo"] - 0.05 * near


class KnownSurrogate:
    """Services whose surrogate is `gap`; there is nothing else."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, configurations: Sequence[Configuration]) -> RemotePredictions:
        self.asked += len(configurations)
        mean = [{"homo_lumo_gap": gap(c)} for c in configurations]
        std = [{"homo_lumo_gap": 0.05}] * len(mean)
        return RemotePredictions(mean, std, [False] * len(mean), ("homo_lumo_gap",), "known")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a search needs no {name}")


def make_context(
    folder: Path, proposer: str, samples: int = 24, oracle: str = "xtb"
) -> tuple[Context, Ledger]:
    """A campaign whose round 0 is done; close the ledger."""
    whole = _shipped()
    # Labelled by the same formula: labels and surrogate agree.
    rows = tuple(
        Record(r.id, r.configuration, {"homo_lumo_gap": gap(r.configuration)})
        for r in whole.records[:150]
        if 2 <= r.configuration.n_defects <= 4
    )
    facts = (whole.chemical_potentials, whole.pristine)
    dataset = Dataset(whole.host, rows, *facts)
    if oracle.startswith("table"):
        write_dataset(Dataset(whole.host, whole.records[:400], *facts), folder / "table")
        oracle = f"table, settings: {{dataset: {folder / 'table'}}}"
    config = parse_campaign(
        FILE.format(dataset="xtb-mos2-4x4", proposer=proposer, samples=samples, oracle=oracle)
    )
    ledger = Ledger(folder / "ledger.sqlite")
    campaign = ledger.create_campaign(config, folder)
    ledger.start_round(campaign, 0)
    with ledger.step(campaign, 0, "prepare"):
        pass
    ledger.finish_round(campaign, 0)
    services: Any = KnownSurrogate()
    control = Control(ledger, campaign, config)
    made = Context(campaign, config, ledger, folder, SilentProgress(), services, dataset, control)
    return made, ledger


def propose(context: Context, number: int) -> tuple[list[Configuration], dict[str, Any]]:
    """The proposals of a round, which is not recorded."""
    run: Any = SimpleNamespace(info={})
    samples = context.proposer.propose(context, number, run)
    return [context.proposer.read(context, number, s) for s in samples], run.info


def play_round(context: Context, number: int) -> None:
    """Steps 1 and 2 of a round as the driver runs them, the others empty."""
    ledger = context.ledger
    ledger.start_round(context.id, number)
    for name, step in {"generate": generate, "check": check}.items():
        with ledger.step(context.id, number, name) as run:
            step(context, number, run)
    for name in ("predict", "select", "verify", "learn"):
        with ledger.step(context.id, number, name):
            pass
    ledger.finish_round(context.id, number)
