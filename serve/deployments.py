"""The three Serve applications: language model, surrogate, HTTP ingress.

They are applications of their own so that each can be replaced without touching the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serve.cluster import available_cores, gpu_is_visible
from serve.config import Autoscaling, ServeConfig
from serve.names import DEPLOYMENT, AppNames

if TYPE_CHECKING:
    from ray.serve import Application

    from serve.extensions import Extension

# Serve restarts all replicas of an application that is deployed again, unless the code version
# stays the same; then a change of `user_config` only calls `reconfigure`. `version` is no longer
# public in Serve. Should it go away, a swap replaces the replicas one after the other instead.
SURROGATE_CODE_VERSION = "1"
LIGHT = {"num_cpus": 0}
INGRESS_ONGOING = 512


def resolve_device(config: ServeConfig) -> str:
    """ "cpu" or "gpu"."""
    if config.device != "auto" or config.base_model is None:
        return "cpu" if config.device == "auto" else config.device
    return "gpu" if gpu_is_visible() else "cpu"


def llm_app(config: ServeConfig, device: str) -> Application:
    """The engine replicas.

    Parameters
    ----------
    config : ServeConfig
    device : {"cpu", "gpu"}
    """
    from ray import serve as ray_serve

    from serve.llm import LLMDeployment

    workers = config.engine.tensor_parallel_size
    if device == "cpu":
        bundles: list[dict[str, float]] = [{"CPU": 1}]
    else:
        # The replica shares a bundle with the first engine worker, so that they lie together.
        bundles = [{"CPU": 1, "GPU": 1}, *({"GPU": 1} for _ in range(workers - 1))]
    return ray_serve.deployment(
        LLMDeployment,
        name=DEPLOYMENT,
        **_replicas(config.num_replicas, config.autoscaling),
        max_ongoing_requests=config.limits.max_ongoing_requests,
        max_queued_requests=config.limits.max_queued_requests,
        placement_group_bundles=bundles,
        placement_group_strategy="PACK",
        ray_actor_options={
            "num_cpus": 1,
            "runtime_env": {"env_vars": engine_environment(config, device)},
        },
        # Once more, for a process that was killed (of two kills `deploy` tells); an engine that
        # cannot start fails twice alike.
        max_constructor_retry_count=2,
        graceful_shutdown_timeout_s=10,
        health_check_period_s=5,
        health_check_timeout_s=60,
    ).bind(config.model_dump(mode="json"), device)


def surrogate_app(
    config: ServeConfig, folder: Path | None, load: Callable[[str], Any] | None = None
) -> Application:
    """The surrogate replicas, serving `folder`."""
    from ray import serve as ray_serve

    from serve.surrogate import SurrogateDeployment

    extra = {} if load is None else {"load": load}
    return (
        ray_serve.deployment(
            SurrogateDeployment,
            name=DEPLOYMENT,
            **_replicas(config.surrogate_replicas, config.surrogate_autoscaling),
            max_ongoing_requests=config.limits.surrogate_ongoing_requests,
            max_queued_requests=config.limits.max_queued_requests,
            ray_actor_options={
                **LIGHT,
                "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(_threads(config))}},
            },
            graceful_shutdown_timeout_s=10,
            health_check_timeout_s=60,
        )
        .options(
            user_config={"folder": str(folder) if folder else None},
            version=SURROGATE_CODE_VERSION,
            _internal=True,
        )
        .bind([str(file) for file in config.host_files], **extra)
    )


def api_app(
    config: ServeConfig, apps: AppNames, extensions: Sequence[Extension] = ()
) -> Application:
    """The HTTP ingress in front of the other two of `apps`, with the routes of `extensions`."""
    from ray import serve as ray_serve

    from serve.ingress import Ingress

    return ray_serve.deployment(
        Ingress,
        name=DEPLOYMENT,
        max_ongoing_requests=INGRESS_ONGOING,
        max_queued_requests=config.limits.max_queued_requests,
        backpressure_config={"status_code": 503, "retry_after_s": 2},
        ray_actor_options=LIGHT,
        graceful_shutdown_timeout_s=5,
        health_check_timeout_s=60,
    ).bind(config.model_dump(mode="json"), apps, tuple(extensions))


def _replicas(fixed: int, autoscaling: Autoscaling | None) -> dict[str, Any]:
    if autoscaling is None:
        return {"num_replicas": fixed}
    return {"autoscaling_config": autoscaling.model_dump()}


def engine_environment(config: ServeConfig, device: str) -> dict[str, str]:
    """Environment of the engine's processes."""
    env = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "WARNING"),
        "TOKENIZERS_PARALLELISM": "false",
    }
    if config.base_is_local:
        env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if device == "cpu":
        env |= {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(_threads(config)),
            # Threads that spin while they wait for one another take the cores from the thread they
            # wait for as soon as anything else runs: 3.5 times slower on a busy machine.
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        if config.engine.enforce_eager:
            # vLLM's CPU sampler is compiled at the first sampled request otherwise (4-20 s, C++).
            env["TORCH_COMPILE_DISABLE"] = "1"
    return env


def _threads(config: ServeConfig) -> int:
    return config.engine.cpu_threads or available_cores()
