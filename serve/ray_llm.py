"""Everything that is taken from `ray.llm._internal`, in one place.

Ray's LLM library is made for adapters in cloud storage and has no public hook for local ones. What
is relied on here, and checked by `tests/serve/test_serve_ray_llm.py`:

- `LLMServer.sync_init(llm_config, engine_cls=, model_downloader=)` and `start()`; `completions`
  and `chat` give an async generator; a request that was routed with a multiplexed model id makes
  `model_downloader(download_timeout_s=, max_tries=).load_model_from_config(lora_model_id=,
  llm_config=)` and hands its result to the engine's `resolve_lora`;
- `DiskMultiplexConfig(model_id, max_total_tokens, local_path, lora_assigned_int_id)`;
- `VLLMEngine._prepare_engine_config`, whose configuration decides the executor, and
  `resolve_lora`, which loads an adapter that is not loaded yet;
- a callback class whose `ctx.run_init_node` skips the download step;
- `llm_server.push_telemetry_report_for_all_models`, called once the engine is up;
- vLLM starts its engine core with `vllm.v1.engine.utils.get_mp_context().Process(...)`.

Importing this module imports vLLM (about 20 s on two cores): only the engine's replica does.
"""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import ray.llm._internal.serve.core.server.llm_server as ray_llm_server
import vllm.v1.engine.utils as vllm_engine_utils
from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.llm._internal.common.models import global_id_manager
from ray.llm._internal.serve.core.configs.llm_config import DiskMultiplexConfig, LLMConfig
from ray.llm._internal.serve.core.configs.openai_api_models import (
    ChatCompletionRequest,
    CompletionRequest,
    ErrorResponse,
)
from ray.llm._internal.serve.core.server.llm_server import LLMServer
from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine

from defects.adapter_folders import base_folder_hash
from serve import checked_grammars
from serve.adapters import AdapterStore, check_base, split_model_id
from serve.config import ServeConfig
from serve.engine_process import EngineContext

__all__ = [
    "ChatCompletionRequest",
    "CompletionRequest",
    "ErrorResponse",
    "LocalAdapterLoader",
    "build_llm_config",
    "start_server",
]

logger = logging.getLogger(__name__)

COPY_DRAFTS = "serve.copy_drafts.CopyProposer"
BATCHED_TOKENS = 4096
"""Tokens of one step on a CPU; more prompts are read at once than with vLLM's 2048."""


class LocalAdapterLoader:
    """Stands in for Ray's `LoraModelLoader`: finds an adapter by a checked name, and checks it.

    Parameters
    ----------
    store : AdapterStore
        Where adapters may lie.
    base_hash : Future
        Hash of the served base model, None where it is not known.
    download_timeout_s, max_tries
        Given by Ray, and not needed: pyarrow has its own.
    """

    def __init__(
        self,
        *,
        store: AdapterStore,
        base_hash: Future[str | None],
        download_timeout_s: float | None = None,
        max_tries: int = 1,
    ) -> None:
        self.store, self._base_hash = store, base_hash
        self._loaded: dict[str, DiskMultiplexConfig] = {}
        self._lock = asyncio.Lock()

    async def load_model_from_config(
        self, lora_model_id: str, llm_config: LLMConfig
    ) -> DiskMultiplexConfig:
        """Folder of the adapter in the model id, under the same number as before.

        Ray asks when it does not hold the adapter, and the engine then reads the files: they are
        checked every time.
        """
        name = split_model_id(lora_model_id, llm_config.model_id)
        if name is None:
            raise ValueError(f"{lora_model_id!r} names the base model, not an adapter")
        async with self._lock:
            adapter = await asyncio.to_thread(self.store.get, name)
            check_base(adapter, await asyncio.wrap_future(self._base_hash))
            folder = await asyncio.to_thread(self.store.folder, adapter)
            if lora_model_id not in self._loaded:
                self._loaded[lora_model_id] = DiskMultiplexConfig(
                    model_id=lora_model_id,
                    max_total_tokens=None,
                    local_path=str(folder),
                    lora_assigned_int_id=global_id_manager.next(),
                )
        return self._loaded[lora_model_id]


class NoDownload(CallbackBase):
    """Skips the step that copies a model from the hub or a bucket to the node."""

    async def on_before_node_init(self) -> None:
        self.ctx.run_init_node = False


class LocalEngine(VLLMEngine):
    """Ray's vLLM engine, with one process less on a CPU and adapters loaded one at a time."""

    def __init__(self, llm_config: LLMConfig) -> None:
        super().__init__(llm_config)
        self._lora_lock = asyncio.Lock()

    async def resolve_lora(self, disk_lora_model: DiskMultiplexConfig) -> None:
        # Ray checks and loads without a lock: of the first requests for an adapter that come
        # together, all but one would be refused since it "has already been loaded".
        async with self._lora_lock:
            await super().resolve_lora(disk_lora_model)

    def _prepare_engine_config(self, callback_ctx: Any) -> tuple[Any, Any, Any]:
        engine_args, frontend_args, config = super()._prepare_engine_config(callback_ctx)
        if config.device_config.device_type == "cpu":
            # Ray asks for the multi-process executor on CPUs: engine core and worker in two
            # processes, so that threads can be bound per worker. With one worker that costs a
            # second import of vLLM and a second busy process on a small machine.
            config.parallel_config.distributed_executor_backend = "uni"
        return engine_args, frontend_args, config


async def start_server(config: ServeConfig, device: str) -> LLMServer:
    """Ray's LLM server with adapters from local folders, its engine started.

    Parameters
    ----------
    config : ServeConfig
    device : {"cpu", "gpu"}
    """
    context = EngineContext("forkserver" if device == "cpu" else "spawn")
    vllm_engine_utils.get_mp_context = lambda: context
    checked_grammars.install()
    # It starts an actor that imports vLLM once more, to count users.
    ray_llm_server.push_telemetry_report_for_all_models = lambda all_models: None
    loader = partial(
        LocalAdapterLoader,
        store=AdapterStore(config.adapter_roots),
        base_hash=hash_base(config),
    )
    server = LLMServer.sync_init(
        build_llm_config(config, device), engine_cls=LocalEngine, model_downloader=loader
    )
    await server.start()
    return server


def hash_base(config: ServeConfig) -> Future[str | None]:
    """Hash of the base model, by a thread of its own: the engine starts meanwhile.

    None for a name on the hub, whose commits count more than the weights, and where the folder
    cannot be read, which the engine will tell.
    """

    def found() -> str | None:
        if not config.base_is_local:
            return None
        try:
            return base_folder_hash(Path(config.base_model or "").expanduser())
        except OSError as error:
            logger.warning("the base model cannot be hashed: %s", error)
            return None

    pool = ThreadPoolExecutor(1, thread_name_prefix="base-hash")
    future = pool.submit(found)
    pool.shutdown(wait=False)
    return future


def resolve_dtype(config: ServeConfig, device: str) -> str:
    """Number format to compute in; see `EngineConfig.dtype`."""
    asked = config.engine.dtype
    if asked != "auto" or device != "cpu" or not config.base_is_local:
        return asked
    file = Path(config.base_model or "").expanduser() / "config.json"
    stored = json.loads(file.read_text(encoding="utf-8"))
    kept = stored.get("dtype") or stored.get("torch_dtype")
    return "float32" if kept == "float16" else "auto"


def build_llm_config(config: ServeConfig, device: str) -> LLMConfig:
    """Ray's configuration of the engine.

    Parameters
    ----------
    config : ServeConfig
    device : {"cpu", "gpu"}

    Returns
    -------
    LLMConfig
    """
    engine, lora = config.engine, config.lora
    engine_kwargs: dict[str, Any] = {
        "dtype": resolve_dtype(config, device),
        "enforce_eager": engine.enforce_eager,
        "enable_prefix_caching": engine.enable_prefix_caching,
        "max_num_seqs": engine.max_num_seqs,
        "tensor_parallel_size": engine.tensor_parallel_size,
        "enable_lora": True,
        "max_loras": lora.max_loras,
        "max_cpu_loras": lora.max_cpu_loras,
        "max_lora_rank": lora.max_lora_rank,
        "trust_remote_code": False,
        "disable_log_stats": not engine.metrics,
        # Not "auto", which goes to another engine in silence when one refuses a grammar.
        "structured_outputs_config": {"backend": "xgrammar"},
    }
    if engine.speculative_tokens:
        engine_kwargs["speculative_config"] = {
            "method": "custom_class",
            "model": COPY_DRAFTS,
            "num_speculative_tokens": engine.speculative_tokens,
        }
    if engine.max_batched_tokens is not None:
        engine_kwargs["max_num_batched_tokens"] = engine.max_batched_tokens
    elif device == "cpu" or engine.speculative_tokens:
        engine_kwargs["max_num_batched_tokens"] = max(BATCHED_TOKENS, engine.fewest_batched_tokens)
    if engine.cache_block_tokens is not None or device == "cpu":
        engine_kwargs["block_size"] = engine.cache_block_tokens or 32
    if engine.max_model_len is not None:
        engine_kwargs["max_model_len"] = engine.max_model_len
    if device == "cpu":
        engine_kwargs["kv_cache_memory_bytes"] = int(engine.kv_cache_gib * 2**30)
    else:
        engine_kwargs["gpu_memory_utilization"] = engine.gpu_memory_utilization
    source = config.base_model or ""
    return LLMConfig(
        model_loading_config={
            "model_id": config.base_id,
            "model_source": str(Path(source).expanduser()) if config.base_is_local else source,
        },
        accelerator_config={"kind": device},
        engine_kwargs=engine_kwargs,
        lora_config={"max_num_adapters_per_replica": lora.max_cpu_loras},
        log_engine_metrics=engine.metrics,
        # A name on the hub is downloaded by vLLM itself; a folder needs no step at all.
        callback_config={"callback_class": NoDownload},
    )
