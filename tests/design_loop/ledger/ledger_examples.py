"""A campaign in small, for the tests of the ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from design_loop.ledger import (
    Adapter,
    Candidate,
    Check,
    Ledger,
    Prediction,
    Sample,
    Selection,
    Surrogate,
)


@dataclass
class FakeConfig:
    """The part of a campaign's configuration that the ledger looks at."""

    name: str = "MoS2 gap"
    seed: int = 7
    content_hash: str = "c0ffee"
    content: dict[str, Any] = field(default_factory=lambda: {"rounds": 2})

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        assert mode == "json"
        return self.content


def prepare(ledger: Ledger, campaign: str) -> None:
    ledger.start_round(campaign, 0)
    with ledger.step(campaign, 0, "prepare") as step:
        step.add_surrogate(Surrogate("s0", "surrogates/s0", {"rows": 10}))
        step.add_adapter(Adapter("r001-aa", "adapters/r001-aa", {"rank": 8}))
    ledger.finish_round(campaign, 0)
    ledger.start_round(campaign, 1, adapter="r001-aa", surrogate="s0")


def run_until_predicted(ledger: Ledger, campaign: str, keys: Collection[str]) -> None:
    """Fill round 1 up to the predictions of some candidates, the best first."""
    with ledger.step(campaign, 1, "generate") as step:
        step.record_samples(
            [Sample(i, {"gap": 1.0}, f"S{i} 0 0 VAC", "stop", "r001-aa") for i in range(len(keys))]
            + [Sample(len(keys), {"gap": 1.0}, "", "length", "r001-aa")]
        )
    with ledger.step(campaign, 1, "check") as step:
        step.record_checks(
            [Check(i, candidate=key) for i, key in enumerate(keys)]
            + [Check(len(keys), drop_reason="empty", drop_detail="no line")],
            [Candidate(key, {"site": i}, "V_S", {"gap": 1.0}) for i, key in enumerate(keys)],
        )
    with ledger.step(campaign, 1, "predict") as step:
        step.record_predictions(
            "s0",
            [Prediction(k, {"gap": 1.0 + i}, {"gap": 0.1}, float(i)) for i, k in enumerate(keys)],
        )


def run_until_selected(ledger: Ledger, campaign: str, keys: dict[str, str]) -> None:
    """Fill round 1 up to the selection; `keys` is candidate -> oracle key, best first."""
    run_until_predicted(ledger, campaign, keys)
    with ledger.step(campaign, 1, "select") as step:
        step.record_selection(
            [Selection(k, i, "small error", call) for i, (k, call) in enumerate(keys.items())],
            {"name": "fake", "version": "1"},
        )
