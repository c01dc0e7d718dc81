"""Everything that runs on the cluster, as the steps use it, behind a small protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from defects.configuration import Configuration
from defects.errors import ConfigError
from defects.oracles import OracleSpec

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.oracle_calls import LabelResult, PoolLimits
    from serve.app import ServeHandle
    from serve.client import Completion, RemotePredictions, ServeClient
    from training.manifest import AdapterResult
    from training.spec import AdapterSpec, Resources

BASE_ID = "base"


class Services(Protocol):
    """What a campaign asks of the cluster; tests put a quick stand-in here."""

    def sample(
        self, prompts: Sequence[str], adapter: str | None, **sampling: Any
    ) -> list[list[Completion]]:
        """Completions of every prompt, by an adapter or (None) by the base model."""

    def predict(self, configurations: Sequence[Configuration]) -> RemotePredictions:
        """Surrogate predictions."""

    def use_surrogate(self, folder: Path) -> str:
        """Take a fitted surrogate into service and return its version."""

    def label(
        self,
        oracle: OracleSpec,
        configurations: Sequence[Configuration],
        on_result: Callable[[LabelResult], None],
        on_failure: Callable[[LabelResult], None],
        limits: PoolLimits,
    ) -> tuple[int, int]:
        """Have the oracle label configurations; each is handed over as it is done."""

    def fine_tune(
        self, spec: AdapterSpec, resources: Resources, on_progress: Callable[[dict], None]
    ) -> AdapterResult:
        """Train an adapter and publish it."""

    def close(self) -> None:
        """Stop serving."""


@dataclass
class RayServices:
    """The real thing: vLLM and the surrogate on Ray Serve, over HTTP."""

    handle: ServeHandle
    client: ServeClient

    def sample(
        self, prompts: Sequence[str], adapter: str | None, **sampling: Any
    ) -> list[list[Completion]]:
        """Completions of every prompt."""
        model = BASE_ID if adapter is None else f"{BASE_ID}:{adapter}"
        return self.client.complete(prompts, model, **sampling)

    def predict(self, configurations: Sequence[Configuration]) -> RemotePredictions:
        """Surrogate predictions."""
        return self.client.predict(configurations)

    def use_surrogate(self, folder: Path) -> str:
        """Swap the surrogate."""
        return self.handle.swap_surrogate(folder)

    def label(
        self,
        oracle: OracleSpec,
        configurations: Sequence[Configuration],
        on_result: Callable[[LabelResult], None],
        on_failure: Callable[[LabelResult], None],
        limits: PoolLimits,
    ) -> tuple[int, int]:
        """Label as Ray tasks."""
        from design_loop.oracle_pool import label_batch

        return label_batch(oracle, configurations, on_result, on_failure, limits)

    def fine_tune(
        self, spec: AdapterSpec, resources: Resources, on_progress: Callable[[dict], None]
    ) -> AdapterResult:
        """Train with Ray Train."""
        from training.lora import train_adapter

        return train_adapter(spec, resources, on_progress=on_progress)

    def close(self) -> None:
        """Stop serving; ends Ray if it was started for this."""
        self.client.close()
        self.handle.shutdown()


def start_services(config: CampaignConfig, folder: Path, tell: Callable[[str], None]) -> Services:
    """Bring the models of a campaign up: what its proposer needs, and no more.

    Raises
    ------
    ModelError
        See `serve.app.deploy`.
    """
    if not config.proposer.needs_model:
        from design_loop.campaign.local_services import LocalServices

        return LocalServices(config, folder)
    from serve.app import deploy
    from serve.client import ServeClient

    if config.resources.ray_address:
        # How Ray itself is told which cluster to join; deploy starts one of its own without it.
        os.environ.setdefault("RAY_ADDRESS", config.resources.ray_address)
    # The folder has the campaign's id: in a cluster that others use its models are its own.
    handle = deploy(serve_config(config, folder), tell, owner=f"campaign-{folder.name}")
    return RayServices(handle, ServeClient(handle.base_url))


def serve_config(config: CampaignConfig, folder: Path) -> Any:
    """The `ServeConfig` of a campaign: its ``serving`` section and what follows from it."""
    from pydantic import ValidationError

    from serve.config import FULL_FORMAT_GUESSES, LORA_RANKS, ServeConfig
    from training.bundled import resolve_base

    settings = {**config.serving}
    lora = dict(settings.get("lora") or {})
    fitting = [r for r in LORA_RANKS if r >= config.adapter.rank]
    lora.setdefault("max_lora_rank", fitting[0] if fitting else LORA_RANKS[-1])
    settings["lora"] = lora
    if config.generation.format == "full":
        engine = {"speculative_tokens": FULL_FORMAT_GUESSES, **(settings.get("engine") or {})}
        settings["engine"] = engine
    if config.resources.cpus is not None:
        settings.setdefault("ray_cpus", config.resources.cpus)
    name = config.host.name
    try:
        return ServeConfig(
            **settings,
            base_model=resolve_base(config.base_model),
            base_id=BASE_ID,
            adapter_roots=(folder / "adapters",),
            host_files=(Path(name),) if name.lower().endswith(".cif") else (),
            log_dir=folder / "logs",
        )
    except ValidationError as error:
        raise ConfigError(f"serving: {error.errors()[0]['msg']}") from error
