"""Services of a campaign without a language model: the surrogate in this process, Ray for labels.

Such a campaign starts in a second: no vLLM, no Serve, no training, and Ray only when an oracle has
to compute something.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from defects.configuration import Configuration
from defects.errors import DesignLoopError, ModelError
from defects.oracles import OracleSpec
from design_loop.oracle_calls import LabelResult, PoolLimits
from serve.client import RemotePredictions

if TYPE_CHECKING:
    from defects.surrogates.fitted import FittedSurrogate
    from design_loop.config import CampaignConfig


class LocalServices:
    """See `design_loop.campaign.services.Services`.

    Parameters
    ----------
    config : CampaignConfig
    folder : Path
        The campaign's folder.
    """

    def __init__(self, config: CampaignConfig, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._surrogate: FittedSurrogate | None = None
        self._started_ray = False

    def sample(self, prompts: Sequence[str], adapter: str | None, **sampling: Any) -> NoReturn:
        """There is no language model to ask."""
        raise ModelError(f"proposer {self._config.proposer.kind} has no language model")

    def fine_tune(self, spec: Any, resources: Any, on_progress: Any) -> NoReturn:
        """There is no language model to train."""
        raise ModelError(f"proposer {self._config.proposer.kind} has no language model")

    def use_surrogate(self, folder: Path) -> str:
        """Load a fitted surrogate and return its version."""
        from defects.surrogates import load_surrogate

        self._surrogate = load_surrogate(folder)
        return self._surrogate.version

    def predict(self, configurations: Sequence[Configuration]) -> RemotePredictions:
        """Surrogate predictions."""
        if self._surrogate is None:
            raise ModelError("no surrogate is in service: the round before did not finish")
        found = self._surrogate.predict(list(configurations))
        names = tuple(found.properties)

        def rows(values: Any) -> list[dict[str, float]]:
            return [dict(zip(names, map(float, row), strict=True)) for row in values]

        return RemotePredictions(
            rows(found.mean),
            rows(found.std),
            [bool(x) for x in found.ood],
            names,
            self._surrogate.version,
        )

    def label(
        self,
        oracle: OracleSpec,
        configurations: Sequence[Configuration],
        on_result: Callable[[LabelResult], None],
        on_failure: Callable[[LabelResult], None],
        limits: PoolLimits,
    ) -> tuple[int, int]:
        """Look labels up in a table here; compute others as Ray tasks."""
        if not configurations:
            return 0, 0
        if oracle.kind == "table":
            return _look_up(oracle, configurations, on_result, on_failure, limits)
        from design_loop.oracle_pool import label_batch
        from serve.cluster import ensure_ray

        resources = self._config.resources
        if resources.ray_address:
            os.environ.setdefault("RAY_ADDRESS", resources.ray_address)
        self._started_ray |= ensure_ray(resources.cpus, self._folder / "logs")
        return label_batch(oracle, configurations, on_result, on_failure, limits)

    def close(self) -> None:
        """End Ray if it was started for this."""
        if self._started_ray:
            import ray

            ray.shutdown()


def _look_up(
    oracle: OracleSpec,
    configurations: Sequence[Configuration],
    on_result: Callable[[LabelResult], None],
    on_failure: Callable[[LabelResult], None],
    limits: PoolLimits,
) -> tuple[int, int]:
    table = oracle.build()
    counts = [0, 0]
    for i, configuration in enumerate(configurations):
        if limits.stopped:
            break
        began = time.monotonic()
        try:
            labels = table.label(configuration)
        except DesignLoopError as error:
            counts[1] += 1
            # A table answers the same every time.
            on_failure(
                LabelResult(
                    i, configuration, None, str(error), type(error).__name__, permanent=True
                )
            )
            continue
        counts[0] += 1
        on_result(LabelResult(i, configuration, labels, seconds=round(time.monotonic() - began, 6)))
    return counts[0], counts[1]
