"""A stand-in for the cluster: random answers, labels from a table, adapters of noise.

Surrogate, ledger, driver and files are the real ones. Run as a script it drives one campaign and
can be told to die in a step, as `kill -9` would have it.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.datasets import Dataset, bundled_dataset, write_dataset
from defects.hosts import get_host
from defects.oracles import OracleSpec
from defects.rules import Rules
from defects.surrogates import load_surrogate
from defects.text import Request, build_answer
from design_loop.config import CampaignConfig, load_campaign
from design_loop.oracle_calls import LabelResult, PoolLimits
from serve.client import Completion, RemotePredictions
from training.manifest import AdapterResult, publish_adapter, unfinished_adapter

RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"))

CAMPAIGN = """\
name: quick
seed: 3
host: {{name: MoS2, supercell: 4x4}}
rules: {{defects: [V_Mo, V_S, W_Mo, Se_S]}}
targets:
  - {{property: homo_lumo_gap, min: 0.5, max: 1.1}}
rounds: 2
dataset: {folder}/known
generation: {{samples: 40, per_prompt: 4}}
surrogate: {{kind: trees, iterations: 10, folds: 3}}
learn: {{distil: 30}}
selection: {{budget: 4}}
oracle: {{kind: table, settings: {{dataset: {folder}/all}}}}
"""


#: Nobody changes it: read once for all tests instead of a second for each.
_shipped = functools.cache(lambda: bundled_dataset("xtb-mos2-4x4"))


def write_campaign(folder: Path) -> Path:
    """A campaign over a tenth of the shipped labels, verified by the table of all of them."""
    whole = _shipped()
    facts = (whole.chemical_potentials, whole.pristine)
    write_dataset(Dataset(whole.host, whole.records[:100], *facts), folder / "known")
    write_dataset(Dataset(whole.host, whole.records[:400], *facts), folder / "all")
    path = folder / "campaign.yaml"
    path.write_text(CAMPAIGN.format(folder=folder))
    return path


class QuickServices:
    """See `design_loop.campaign.services.Services`."""

    def __init__(self, folder: Path, config: CampaignConfig) -> None:
        self.folder = folder
        self.calls = folder.parent / "oracle_calls.log"
        self.die_after_labels: int | None = None
        self.same_weights = False
        self._host = get_host(config.host.name, config.host.supercell)
        self._surrogate = None
        # Unlabelled answers would teach nothing here: the model "knows" the table.
        self._pool = [r.configuration for r in _shipped().records[60:400]]

    def sample(
        self, prompts: Sequence[str], adapter: str | None, **sampling: Any
    ) -> list[list[Completion]]:
        noise = 0 if self.same_weights else sum(map(ord, adapter or "base"))
        rng = np.random.default_rng([sampling["seed"], noise])
        request = Request(self._host, RULES)

        def answer() -> Completion:
            kind = rng.random()
            if kind < 0.1:
                return Completion("S1 9 9 VAC", "stop", 8, -1.0)
            if kind < 0.2:
                return Completion("S1 0 0 VAC\nS1", "length", 8, -1.0)
            c = self._pool[int(rng.integers(len(self._pool)))]
            return Completion(build_answer(c, request, "compact"), "stop", 8, float(rng.random()))

        done = sampling.get("on_done", lambda n: None)
        found = [[answer() for _ in range(sampling["n"])] for _ in prompts]
        done(len(prompts))
        return found

    def predict(self, configurations: Sequence[Configuration]) -> RemotePredictions:
        assert self._surrogate is not None
        p = self._surrogate.predict(list(configurations))
        names = tuple(p.properties)

        def rows(array: Any) -> list[dict[str, float]]:
            return [dict(zip(names, map(float, row), strict=True)) for row in array]

        return RemotePredictions(
            rows(p.mean), rows(p.std), [bool(x) for x in p.ood], names, self._surrogate.version
        )

    def use_surrogate(self, folder: Path) -> str:
        self._surrogate = load_surrogate(folder)
        return self._surrogate.version

    def label(
        self,
        oracle: OracleSpec,
        configurations: Sequence[Configuration],
        on_result: Callable[[LabelResult], None],
        on_failure: Callable[[LabelResult], None],
        limits: PoolLimits,
    ) -> tuple[int, int]:
        table = oracle.build()
        for i, c in enumerate(configurations):
            if limits.stopped:
                break
            if self.die_after_labels == i:
                os.kill(os.getpid(), signal.SIGKILL)
            with self.calls.open("a") as f:
                f.write(c.key + "\n")
            on_result(LabelResult(i, c, table.label(c), seconds=0.01))
        return len(configurations), 0

    def fine_tune(self, spec: Any, resources: Any, on_progress: Any) -> AdapterResult:
        with unfinished_adapter(spec.root) as work:
            (work / "adapter_model.safetensors").write_text(spec.prefix + str(spec.data_hash))
            (work / "adapter_config.json").write_text(json.dumps({"r": 8}))
            return publish_adapter(work, spec.root, spec.prefix, dict(spec.facts))

    def close(self) -> None:
        pass


def drive(folder: Path, action: str, die_in: str = "", store: str = "") -> None:
    """Start or resume the campaign of a folder; `die_in` is ``step`` or ``verify:labels``.

    The ledger is in the folder, unless `store` is the address of another.
    """
    from design_loop.campaign import driver
    from design_loop.progress import SilentProgress

    step, _, labels = die_in.partition(":")

    def services(config: CampaignConfig, campaign: Path, tell: Any) -> QuickServices:
        made = QuickServices(campaign, config)
        if labels:
            made.die_after_labels = int(labels)
        # A new process has no surrogate in service; the real deployment keeps its folder.
        last = sorted((campaign / "surrogates").glob("r*/manifest.json"))
        if last:
            made.use_surrogate(last[-1].parent)
        return made

    if step and not labels:
        inner = driver.ROUND[step]

        def killed(context: Any, number: int, run: Any) -> None:
            inner(context, number, run)
            os.kill(os.getpid(), signal.SIGKILL)  # all done, nothing committed

        driver.ROUND[step] = killed
    store = store or str(folder / "runs" / "ledger.sqlite")
    if action == "start":
        config = load_campaign(folder / "campaign.yaml")
        driver.start(config, folder / "runs", store, SilentProgress(), services)
    else:
        driver.resume(action, folder / "runs", store, SilentProgress(), services)


if __name__ == "__main__":
    drive(Path(sys.argv[1]), sys.argv[2], *sys.argv[3:])
