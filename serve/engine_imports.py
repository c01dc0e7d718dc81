"""Imported by the fork server only: the modules that the engine core needs on a CPU."""

# ruff: noqa: F401
import vllm.v1.worker.cpu.shm  # isort: skip - the worker module asks to be preceded by this

import vllm.lora.worker_manager
import vllm.model_executor.models.llama
import vllm.v1.engine.core
import vllm.v1.executor.uniproc_executor
import vllm.v1.worker.cpu_model_runner
import vllm.v1.worker.cpu_worker

import serve.cpu_lora
import serve.cpu_seeds
import serve.cpu_speculation
