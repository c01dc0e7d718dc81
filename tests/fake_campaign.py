"""A campaign without models: writes a real ledger and tells real events, with made-up numbers.

For the tests of displays, tables, reports and exports. Run it to look at the display:
``python tests/fake_campaign.py FOLDER [seconds per step]``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.hosts import get_host
from defects.sampling import random_configuration
from design_loop.config import CampaignConfig, load_preset
from design_loop.ledger import (
    Adapter,
    CampaignState,
    Candidate,
    Check,
    Ledger,
    Prediction,
    Sample,
    Selection,
    Surrogate,
)
from design_loop.progress import Progress, SilentProgress
from design_loop.summary import summarise_campaign, summarise_round, target_error

PROPERTIES = ("homo_lumo_gap", "formation_energy_per_site")
DROPS = ("malformed", "rule_violation", "duplicate_in_campaign", "duplicate_in_training")


class FakeCampaign:
    """Plays a campaign round by round.

    Parameters
    ----------
    ledger, workdir
        Where it is recorded.
    progress
        Who is told.
    pause
        Seconds that every step takes.
    samples, budget
        Per round.
    """

    def __init__(
        self,
        ledger: Ledger,
        workdir: Path,
        progress: Progress | None = None,
        *,
        pause: float = 0.0,
        samples: int = 40,
        budget: int = 6,
        config: CampaignConfig | None = None,
    ) -> None:
        self.ledger, self.workdir, self.pause = ledger, workdir, pause
        self.progress = progress or SilentProgress()
        self.samples, self.budget = samples, budget
        self.config = config or load_preset("quickstart", check=False)
        self.oracle: dict[str, Any] = {"name": "fake"}
        self.rng = np.random.default_rng(3)
        self.host = get_host(self.config.host.name, self.config.host.supercell)
        self.id = ledger.create_campaign(self.config, workdir)
        self.known: dict[str, Configuration] = {}

    def run(self, rounds: int | None = None) -> str:
        """Play all rounds, or some; returns the campaign's id."""
        rounds = self.config.rounds if rounds is None else rounds
        self.progress.campaign_started(self.id, self.config)
        self.ledger.set_campaign_state(self.id, CampaignState.RUNNING)
        self._prepare()
        for number in range(1, rounds + 1):
            self._round(number)
        if rounds == self.config.rounds:
            self.ledger.set_campaign_state(self.id, CampaignState.DONE)
            self.progress.campaign_finished(summarise_campaign(self.ledger, self.id))
        return self.id

    def _step(self, number: int, name: str, total: int, detail: str, info: dict[str, Any]):
        """Tell that a step runs, as long as a step is to take."""
        self.progress.step_started(number, name, detail)
        for done in range(1, total + 1):
            time.sleep(self.pause / total)
            self.progress.step_advanced(done, total)
        self.progress.step_finished(number, name, self.pause, info)

    def _prepare(self) -> None:
        self.ledger.start_round(self.id, 0)
        with self.ledger.step(self.id, 0, "prepare") as step:
            self._step(0, "prepare", 10, "surrogate and first adapter", {"labels": 959})
            self._models(step, 1)
        self.ledger.finish_round(self.id, 0)
        self.progress.round_finished(summarise_round(self.ledger, self.id, 0))

    def _models(self, step: Any, number: int) -> None:
        # Manifests name places, as real ones do.
        fitted = {"n_labels": 959, "cache": str(self.workdir / "cache")}
        step.add_surrogate(Surrogate(f"s{number}", f"surrogates/s{number}", fitted))
        name = f"r{number:03d}-{number:012x}"
        trained = {
            "base_model": str(self.workdir / "models" / "small"),
            "instruction_file": str(self.workdir / "instructions.jsonl"),
            "metrics": {"loss": 0.31},
            "hyperparameters": {"rank": 8},
        }
        step.add_adapter(Adapter(name, f"adapters/{name}", trained))

    def _values(self, configuration: Configuration) -> dict[str, float]:
        gap = abs(0.75 + 0.35 * self.rng.standard_normal())
        return {
            "energy": -900.0 - configuration.n_defects,
            "homo_lumo_gap": gap,
            "formation_energy_per_site": 0.3 + 0.3 * float(self.rng.random()),
        }

    def _round(self, number: int) -> None:
        adapter, surrogate = f"r{number:03d}-{number:012x}", f"s{number}"
        self.ledger.start_round(self.id, number, adapter=adapter, surrogate=surrogate)
        samples = [
            Sample(
                i, {"homo_lumo_gap": 0.6 + 0.3 * i / self.samples}, "S1 0 0 VAC", "stop", adapter
            )
            for i in range(self.samples)
        ]
        with self.ledger.step(self.id, number, "generate") as step:
            step.record_samples(samples)
            info = {"samples": len(samples), "tokens_per_s": 612.3}
            self._step(number, "generate", len(samples), f"adapter {adapter}", info)
        checks, found, drops = [], [], {}
        for sample in samples:
            configuration = random_configuration(self.host, self.config.rules, self.rng)
            if configuration.key in self.known or self.rng.random() < 0.4:
                reason = DROPS[int(self.rng.integers(len(DROPS)))]
                drops[reason] = drops.get(reason, 0) + 1
                checks.append(Check(sample.index, None, reason, "<b>made up</b> & recorded"))
                continue
            self.known[configuration.key] = configuration
            found.append(
                Candidate(
                    configuration.key,
                    configuration.to_dict(),
                    configuration.description,
                    sample.asked,
                )
            )
            checks.append(Check(sample.index, configuration.key))
        with self.ledger.step(self.id, number, "check") as step:
            step.record_checks(checks, found)
            self._step(number, "check", 1, "", {"candidates": len(found), "drops": drops})
        predictions = [self._prediction(c) for c in found]
        with self.ledger.step(self.id, number, "predict") as step:
            step.record_predictions(surrogate, predictions)
            self._step(number, "predict", 1, f"surrogate {surrogate}", {"predicted": len(found)})
        predictions.sort(key=lambda p: p.surrogate_error)
        chosen = predictions[: self.budget]
        with self.ledger.step(self.id, number, "select") as step:
            step.record_selection(
                [Selection(p.candidate, i, "small error", f"call-{p.candidate}")
                 for i, p in enumerate(chosen)],
                self.oracle,
            )  # fmt: skip
            self._step(number, "select", 1, "", {"selected": len(chosen)})
        with self.ledger.step(self.id, number, "verify") as step:
            self._step(number, "verify", len(chosen), "xtb", {"verified": len(chosen) - 1})
            self._verify(number, chosen)
        with self.ledger.step(self.id, number, "learn") as step:
            self._step(number, "learn", 5, "surrogate, LoRA", {"loss": 0.297, "steps": 120})
            self._models(step, number + 1)
        self.ledger.finish_round(self.id, number)
        self.progress.round_finished(summarise_round(self.ledger, self.id, number))

    def _prediction(self, candidate: Candidate) -> Prediction:
        mean = self._values(self.known[candidate.key])
        mean = {name: mean[name] for name in PROPERTIES}
        error = target_error(self.config.targets, mean)
        return Prediction(candidate.key, mean, dict.fromkeys(mean, 0.08), error)

    def _verify(self, number: int, chosen: list[Prediction]) -> None:
        for rank, prediction in enumerate(chosen):
            call = f"call-{prediction.candidate}"
            if rank == len(chosen) - 1:
                self.ledger.record_failure(
                    self.id, number, prediction.candidate, call, "SCF <not> converged", final=True
                )
                continue
            label = self._values(self.known[prediction.candidate])
            label |= {
                name: value + 0.05 * self.rng.standard_normal()
                for name, value in prediction.mean.items()
            }
            self.ledger.record_label(self.id, number, prediction.candidate, call, label, 6.5)


if __name__ == "__main__":
    from rich.console import Console

    from design_loop.progress import campaign_progress
    from design_loop.tables import candidates_table

    folder = Path(sys.argv[1])
    pause = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    with Ledger(folder / "ledger.sqlite") as ledger:
        with campaign_progress() as progress:
            campaign = FakeCampaign(ledger, folder, progress, pause=pause)
            campaign.run()
        Console().print(candidates_table(summarise_campaign(ledger, campaign.id)))
