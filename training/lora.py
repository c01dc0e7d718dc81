"""Trains adapters with Ray Train and publishes them; the driver's side."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from defects.adapter_folders import KEYS
from defects.errors import ModelError
from training.base_model import base_hash, check_base
from training.instructions import InstructionSource
from training.manifest import (
    AdapterResult,
    find_adapter,
    publish_adapter,
    read_adapter,
    unfinished_adapter,
)
from training.spec import AdapterSpec, LoraHyperparameters, Resources, check_settings
from training.storage import check_storage, forget_run

__all__ = ["AdapterResult", "AdapterSpec", "LoraHyperparameters", "Resources", "train_adapter"]

logger = logging.getLogger(__name__)

RUNS = ".runs"
"""Folder below the adapters' root for runs under way; no adapter's name begins with a dot."""

Progress = Callable[[dict[str, float]], None]


def train_adapter(
    spec: AdapterSpec,
    resources: Resources | None = None,
    *,
    storage_path: str | None = None,
    on_progress: Progress | None = None,
) -> AdapterResult:
    """Train a LoRA adapter with Ray Train and publish it as a finished folder.

    The same spec is trained once: a finished adapter of it is returned as it is, and a run that was
    cut off (the driver killed, the machine restarted) goes on from its last checkpoint.

    Parameters
    ----------
    spec : AdapterSpec
    resources : Resources, optional
    storage_path : str, optional
        Where Ray Train keeps checkpoints; on several machines a shared folder or a bucket's
        address. By default below the adapters' root.
    on_progress : callable, optional
        Gets dicts with step, steps, epoch, progress (0..1), loss and tokens_per_s every few
        seconds, from another thread.

    Returns
    -------
    AdapterResult
        Folder ``<root>/<prefix>-<hash12>`` with ``adapter_model.safetensors``,
        ``adapter_config.json`` and ``manifest.json``.

    Raises
    ------
    ModelError
        If the base model or the parent is missing, no example fits, or the training failed.
    """
    check_base(spec.base)
    resources = resources or Resources()
    check_settings(spec.hyperparameters, resources)
    storage_path = storage_path or resources.storage
    if storage_path is not None:
        check_storage(storage_path)
    parent = None if spec.parent is None else read_adapter(spec.parent)
    fingerprint = spec.fingerprint()
    root = Path(spec.root).absolute()
    finished = find_adapter(root, spec.prefix, fingerprint)
    if finished is not None:
        return finished
    runs = root / RUNS
    runs.mkdir(parents=True, exist_ok=True)
    name = f"{spec.prefix}-{fingerprint[:16]}"
    progress_file = runs / f"{name}.jsonl"
    progress_file.touch()  # it holds the folder while other runs end
    with ray_running(), watching(progress_file, on_progress):
        metrics, checkpoint = _fit(spec, resources, name, storage_path or str(runs), progress_file)
        with unfinished_adapter(root) as work:
            _collect(checkpoint, work, spec)
            if isinstance(spec.source, InstructionSource):
                (work / KEYS).write_text(
                    "".join(f"{key}\n" for key in spec.source.configuration_keys())
                )
            result = publish_adapter(
                work,
                root,
                spec.prefix,
                {
                    "fingerprint": fingerprint,
                    "base_model": spec.base,
                    "base_hash": base_hash(spec.base),
                    "parent": None if parent is None else parent.name,
                    "data_hash": metrics.pop("data_hash", spec.data_hash),
                    "hyperparameters": asdict(spec.hyperparameters),
                    "seed": spec.seed,
                    "metrics": metrics,
                    **spec.facts,
                },
            )
    if storage_path is not None:
        forget_run(storage_path, name)
    _tidy(runs, name)
    return result


def _tidy(runs: Path, name: str) -> None:
    """Remove what a run that is over kept here to go on from, and the folder with the last one."""
    shutil.rmtree(runs / name, ignore_errors=True)
    (runs / f"{name}.jsonl").unlink(missing_ok=True)
    with suppress(OSError):  # other runs are under way
        runs.rmdir()


def _fit(
    spec: AdapterSpec, resources: Resources, name: str, storage_path: str, progress_file: Path
) -> tuple[dict[str, Any], Any]:
    """Run Ray Train; the metrics and the last checkpoint."""
    from ray.train import (
        CheckpointConfig,
        FailureConfig,
        LoggingConfig,
        RunConfig,
        ScalingConfig,
        TrainingFailedError,
    )
    from ray.train.torch import TorchTrainer

    _set_ray_train_defaults()
    trainer = TorchTrainer(
        _enter,
        train_loop_config={
            "spec": spec,
            "resources": resources,
            "progress_file": str(progress_file),
        },
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus > 0,
            resources_per_worker={"CPU": resources.cpus}
            | ({"GPU": resources.gpus} if resources.gpus else {}),
        ),
        run_config=RunConfig(
            # The same place and name go on where they stopped, so the name is this work's own.
            name=name,
            storage_path=storage_path,
            failure_config=FailureConfig(
                max_failures=resources.max_failures, max_preemption_failures=-1
            ),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            worker_runtime_env={"env_vars": _worker_environment()},
            logging_config=LoggingConfig(log_level="WARNING"),
        ),
    )
    try:
        result = trainer.fit()
    except TrainingFailedError as error:
        raise ModelError(f"training {spec.prefix} failed: {_first_failure(error)}") from error
    returned = result.return_value or {}
    if "error" in returned:
        # Nothing to go on from: the same would fail the same way.
        forget_run(storage_path, name)
        _tidy(progress_file.parent, name)
        raise ModelError(returned["error"])
    return dict(returned.get("metrics") or result.metrics), result.checkpoint


def _enter(config: dict[str, Any]) -> dict[str, Any]:
    # torch, transformers and peft are imported in the workers, not in the driver.
    from training.worker import train_loop

    return train_loop(config)


def _set_ray_train_defaults() -> None:
    """Ray Train's own settings, where the user has set none."""
    import ray

    defaults = {
        # On two busy cores a worker that imports torch, transformers and peft needs more than the
        # minute that Ray gives it.
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    }
    if len(ray.nodes()) == 1:
        # Nothing is preempted on a laptop, and the watcher is a process of its own.
        defaults["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _worker_environment() -> dict[str, str]:
    return {
        # On a machine that also serves and labels, threads that spin while they wait take the
        # cores from those that work: several times slower than sleeping ones.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        "TOKENIZERS_PARALLELISM": "false",
    }


def _first_failure(error: Exception) -> str:
    failures = getattr(error, "worker_failures", None)
    cause = next(iter(failures.values())) if failures else error
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    return (lines[-1] if lines else type(cause).__name__)[:500]


def _collect(checkpoint: Any, work: Path, spec: AdapterSpec) -> None:
    """Copy what a server needs out of a checkpoint."""
    with checkpoint.as_directory() as folder:
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copyfile(Path(folder) / name, work / name)
    config = json.loads((work / "adapter_config.json").read_text())
    # As it was named in the spec, and in an order that does not change from run to run.
    config["base_model_name_or_path"] = spec.base
    config["target_modules"] = sorted(config["target_modules"])
    (work / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


@contextmanager
def ray_running() -> Iterator[None]:
    """Ray as this process has it, the cluster of RAY_ADDRESS, or a small one of its own.

    A cluster that merely runs on the same machine is somebody else's and left alone.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
    else:
        # Logical CPUs: more than a small machine has, so that controller and workers find room.
        ray.init(
            address="local",
            num_cpus=max(4, os.cpu_count() or 1),
            include_dashboard=False,
            log_to_driver=False,
        )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def watching(path: Path, on_progress: Progress | None) -> Iterator[None]:
    """Hand on the lines that a worker appends to a file."""
    if on_progress is None:
        yield
        return
    stop = threading.Event()

    def follow() -> None:
        seen = path.stat().st_size if path.exists() else 0
        while not stop.wait(0.5):
            if not path.exists():
                continue
            with path.open("rb") as f:
                f.seek(seen)
                new = f.read()
            complete = new[: new.rfind(b"\n") + 1]
            seen += len(complete)
            for line in complete.splitlines():
                on_progress(json.loads(line))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
