"""What a Ray Train worker does: LoRA fine-tuning in a plain PyTorch loop.

Imported in the workers only; the driver's side is `training.lora`.
"""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch

from defects.errors import DesignLoopError, ModelError
from training.epochs import epoch_batches
from training.examples import Encoded, encode
from training.model import add_lora, base_of, use_bf16, weight_files
from training.objective import AnswerLoss
from training.parallel import Parallel, optimizer_state, set_optimizer_state, trained_weights
from training.sources import examples_hash
from training.spec import AdapterSpec, Resources
from training.steps import Steps

logger = logging.getLogger(__name__)

STATE = "state.pt"
LOG_SECONDS = 2.0


def train_loop(config: dict[str, Any]) -> dict[str, Any]:
    """Entry point that Ray Train calls on every worker.

    Returns
    -------
    dict
        ``{"metrics": ...}``, or ``{"error": ...}`` for what the user has to mend: Ray would try
        the same again after an exception.
    """
    try:
        run = _Run(config["spec"], config["resources"], config["progress_file"])
        return {"metrics": run.fit()}
    except DesignLoopError as error:
        return {"error": str(error)}


class _Run:
    """State of one worker's training."""

    def __init__(self, spec: AdapterSpec, resources: Resources, progress_file: str | None) -> None:
        context = ray.train.get_context()
        self.spec, self.h, self.resources = spec, spec.hyperparameters, resources
        rank, world = context.get_world_rank(), context.get_world_size()
        self.progress_file = progress_file if rank == 0 else None
        cores = len(os.sched_getaffinity(0))  # what taskset and containers leave, not the machine
        torch.set_num_threads(resources.threads or max(1, cores // context.get_local_world_size()))
        device = ray.train.torch.get_device()
        self.parallel = Parallel(resources.sharding, device, rank, world)
        bf16 = use_bf16(self.h, device)
        weights, state = self.checkpoint()
        base, self.tokenizer = base_of(spec, device, bf16=bf16, empty=self.parallel.sharded)
        self.model = add_lora(base, spec, weights)
        files = weight_files(spec.base) if self.parallel.sharded else ()
        share = not (self.parallel.sharded or self.h.gradient_checkpointing)
        objective = self.parallel.place(AnswerLoss(self.model, share_prefix=share), files)
        pad = self.tokenizer.pad_token_id
        self.steps = Steps(objective, self.h, self.parallel, pad_id=pad, bf16=bf16)
        self.step = self.epoch = self.batch = self.tokens = 0
        self.seconds = 0.0
        self.data_hash = spec.data_hash
        self.losses: list[float] = []
        self.held_out = self.draw(spec.eval_source, 0)
        if state is not None:
            self.resume(state)
        # Dropout differs between workers and, after a restart, from before.
        torch.manual_seed(spec.seed + 7919 * (rank + 1) + self.step)

    # --- data -----------------------------------------------------------------------------------

    def draw(self, source: Any, epoch: int) -> list[Encoded]:
        """Examples of an epoch as tokens; an empty list without a source."""
        if source is None:
            return []
        examples = source(epoch, self.spec.seed)
        if source is self.spec.source and self.data_hash is None:
            self.data_hash = examples_hash(examples)
        context = getattr(self.model.config, "max_position_embeddings", None)
        limit = min((n for n in (self.h.max_length, context) if n), default=None)
        encoded = encode(examples, self.tokenizer, limit)
        if not encoded:
            raise ModelError(
                f"none of {len(examples)} training examples fits {limit} tokens: use the compact "
                "format, a smaller supercell, "
                + ("a larger max_length" if limit != context else "a model with a longer context")
            )
        if len(encoded) < len(examples) and self.parallel.rank == 0:
            logger.warning(
                "%d of %d examples are longer than %s tokens and left out",
                len(examples) - len(encoded),
                len(examples),
                limit,
            )
        return encoded

    def epoch_plan(self) -> list[list[Encoded]]:
        """Batches of the current epoch, the same on every worker."""
        seed = int(np.random.SeedSequence([self.spec.seed, self.epoch]).generate_state(1)[0])
        return epoch_batches(
            self.draw(self.spec.source, self.epoch), self.h.batch_size, seed, self.h.length_pool
        )

    # --- the loop -------------------------------------------------------------------------------

    def fit(self) -> dict[str, Any]:
        """Train until epochs, steps or seconds are used up; report the adapter."""
        plan = self.epoch_plan()
        total = math.ceil(self.h.epochs * len(plan))
        total = min(total, self.h.max_steps or total)
        before = self.evaluate() if self.step == 0 else None
        self._began = time.monotonic() - self.seconds
        self._saved = time.monotonic()
        self._logged = -math.inf  # the first step is told at once
        progress = self.progress(total)
        while progress < 1:
            if self.batch == len(plan):
                self.epoch, self.batch = self.epoch + 1, 0
                plan = self.epoch_plan()
            batch = plan[self.batch]
            self.losses.append(self.steps.train(batch, progress))
            self.step += 1
            self.tokens += sum(len(e) for e in batch)
            self.batch += 1
            progress = self.progress(total)
            if progress < 1 and self.due_for_checkpoint():
                self.report({"step": self.step})
            self.log(progress, total)
        metrics = self.metrics(before)
        self.report(metrics)
        return metrics

    def progress(self, total_steps: int) -> float:
        """Share of the run that is done, the same on every worker."""
        self.seconds = time.monotonic() - self._began
        done = self.step / total_steps
        if self.h.max_seconds is not None:
            done = max(done, self.parallel.from_first(self.seconds / self.h.max_seconds))
        return done

    def evaluate(self) -> dict[str, float]:
        """Mean loss per answer token on the held-out examples; empty without any."""
        if not self.held_out:
            return {}
        return {"eval_loss": round(self.steps.evaluate(self.held_out), 6)}

    # --- what comes out -------------------------------------------------------------------------

    def metrics(self, before: dict[str, float] | None) -> dict[str, Any]:
        """Figures of the finished run."""
        recent = self.losses[-max(1, len(self.losses) // 10) :]
        figures: dict[str, Any] = {
            "steps": self.step,
            "epochs": self.epoch + 1,
            "seconds": round(self.seconds, 2),
            "tokens": self.tokens,
            "tokens_per_s": round(self.tokens / max(self.seconds, 1e-9)),
            "train_loss": round(sum(recent) / len(recent), 6) if recent else None,
            "trainable_parameters": sum(p.numel() for p in self.steps.parameters),
            "bf16": self.steps.bf16,
            "workers": self.parallel.world,
            "sharding": self.resources.sharding if self.parallel.world > 1 else None,
            "data_hash": self.data_hash,
        }
        if self.held_out:
            figures |= self.evaluate()
            if before:
                figures["eval_loss_before"] = before["eval_loss"]
        return figures

    def log(self, progress: float, total: int) -> None:
        """A line in the progress file for whoever watches."""
        now = time.monotonic()
        if self.progress_file is None or (now - self._logged < LOG_SECONDS and progress < 1):
            return
        self._logged = now
        recent = self.losses[-20:]
        line = {
            "step": self.step,
            "steps": total,
            "epoch": self.epoch,
            "progress": round(min(progress, 1.0), 4),
            "loss": round(sum(recent) / len(recent), 5),
            "tokens_per_s": round(self.tokens / max(self.seconds, 1e-9)),
            "pid": os.getpid(),
        }
        try:
            with Path(self.progress_file).open("a", encoding="utf-8") as f:
                f.write(json.dumps(line) + "\n")
        except OSError:
            # The driver's folder is not shared with this machine: nobody can watch.
            self.progress_file = None

    def due_for_checkpoint(self) -> bool:
        """Whether it is time, the same on every worker."""
        waited = time.monotonic() - self._saved
        return self.parallel.from_first(waited) >= self.resources.checkpoint_seconds

    def report(self, metrics: dict[str, Any]) -> None:
        """Hand metrics and, from the first worker, adapter and optimizer state to Ray Train."""
        # Sharded weights are gathered by all workers together.
        weights = trained_weights(self.model)
        optimizer = optimizer_state(self.steps.optimizer)
        if self.parallel.rank == 0:
            with tempfile.TemporaryDirectory() as folder:
                self.model.save_pretrained(folder, state_dict=weights, save_embedding_layers=False)
                torch.save(
                    {
                        "optimizer": optimizer,
                        "counters": (self.step, self.epoch, self.batch, self.tokens),
                        "seconds": self.seconds,
                        "losses": self.losses,
                        "data_hash": self.data_hash,
                    },
                    Path(folder) / STATE,
                )
                ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
        else:
            ray.train.report(metrics)
        self._saved = time.monotonic()

    def checkpoint(self) -> tuple[dict[str, torch.Tensor] | None, dict[str, Any] | None]:
        """Adapter weights and state of Ray Train's last checkpoint, if there is one."""
        from peft import load_peft_weights

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return None, None
        with checkpoint.as_directory() as folder:
            weights = load_peft_weights(folder, device="cpu")
            state = torch.load(Path(folder) / STATE, weights_only=True, map_location="cpu")
        return weights, state

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint was made."""
        set_optimizer_state(self.steps.optimizer, self.steps.parameters, state["optimizer"])
        self.step, self.epoch, self.batch, self.tokens = state["counters"]
        self.seconds, self.losses = state["seconds"], state["losses"]
        self.data_hash = state["data_hash"]
