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
import torch.distributed as dist

from defects.errors import DesignLoopError, ModelError
from training.base_model import load_base
from training.epochs import answer_weight, epoch_batches, micro_batches, worker_share
from training.examples import Encoded, collate, encode
from training.objective import AnswerLoss
from training.sources import examples_hash
from training.spec import AdapterSpec, LoraHyperparameters, Resources

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
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.progress_file = progress_file if self.rank == 0 else None
        cores = os.cpu_count() or 1
        torch.set_num_threads(resources.threads or max(1, cores // context.get_local_world_size()))
        self.device = ray.train.torch.get_device()
        self.bf16 = use_bf16(self.h, self.device)
        # Frozen weights need no master copy: on a GPU they are held in half the memory.
        dtype = "bfloat16" if self.bf16 and self.device.type == "cuda" else "float32"
        base, self.tokenizer = load_base(spec.base, dtype=dtype)
        torch.manual_seed(spec.seed)
        self.model = add_lora(base, spec)
        self.objective = ray.train.torch.prepare_model(AnswerLoss(self.model))
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.h.learning_rate, weight_decay=self.h.weight_decay
        )
        self.step = self.epoch = self.batch = self.tokens = 0
        self.seconds = 0.0
        self.data_hash = spec.data_hash
        self.losses: list[float] = []
        self.held_out = self.draw(spec.eval_source, 0)
        self.resume()
        # Dropout differs between workers and, after a restart, from before.
        torch.manual_seed(spec.seed + 7919 * (self.rank + 1) + self.step)

    # --- data -----------------------------------------------------------------------------------

    def draw(self, source: Any, epoch: int) -> list[Encoded]:
        """Examples of an epoch as tokens; an empty list without a source."""
        if source is None:
            return []
        examples = source(epoch, self.spec.seed)
        if source is self.spec.source and self.data_hash is None:
            self.data_hash = examples_hash(examples)
        limit = self.h.max_length or getattr(self.model.config, "max_position_embeddings", None)
        encoded = encode(examples, self.tokenizer, limit)
        if not encoded:
            raise ModelError(
                f"none of {len(examples)} training examples fits {limit} tokens: use the compact "
                "format, a smaller supercell or a model with a longer context"
            )
        if len(encoded) < len(examples) and self.rank == 0:
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
        return epoch_batches(self.draw(self.spec.source, self.epoch), self.h.batch_size, seed)

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
            self.train_step(plan[self.batch], progress)
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
            done = max(done, self.from_first(self.seconds / self.h.max_seconds))
        return done

    def from_first(self, value: float) -> float:
        """The first worker's value: clocks differ, and all workers have to agree."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return float(shared)

    def train_step(self, batch: list[Encoded], progress: float) -> None:
        """One optimizer step over a batch that all workers share."""
        self.objective.train()
        parts = micro_batches(worker_share(batch, self.rank, self.world), self.h.micro_tokens)
        # Wrapped in data parallelism, gradients are averaged over workers: times their number.
        scale = self.world / answer_weight(batch)
        loss = 0.0
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            if self.world > 1 and not last:
                with self.objective.no_sync():
                    loss += self.backward(part, scale)
            else:
                loss += self.backward(part, scale)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.h.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.h.course.at(progress)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} at step {self.step}: try a lower learning rate than "
                f"{self.h.learning_rate}"
            )
        self.step += 1
        self.tokens += sum(len(e) for e in batch)
        self.losses.append(loss / self.world)

    def backward(self, part: list[Encoded], scale: float) -> float:
        """Forward and backward of a micro-batch; its share of the loss."""
        ids, labels, weights = self.tensors(part)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.objective(ids, labels, weights) * scale
        loss.backward()
        return float(loss.detach())

    def tensors(self, part: list[Encoded]) -> tuple[torch.Tensor, ...]:
        arrays = collate(part, self.tokenizer.pad_token_id)
        return tuple(
            torch.from_numpy(arrays[name]).to(self.device)
            for name in ("input_ids", "labels", "weights")
        )

    def evaluate(self) -> dict[str, float]:
        """Mean loss per answer token on the held-out examples; empty without any."""
        if not self.held_out:
            return {}
        self.objective.eval()
        total = torch.zeros(2, dtype=torch.float64)
        with torch.inference_mode():
            for part in micro_batches(self.held_out[self.rank :: self.world], self.h.micro_tokens):
                ids, labels, _ = self.tensors(part)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                    losses, _ = unwrap(self.objective).token_losses(ids, labels)
                total += torch.tensor([float(losses.sum()), losses.numel()], dtype=torch.float64)
        if self.world > 1:
            total = total.to(self.device)
            dist.all_reduce(total)
        return {"eval_loss": round(float(total[0] / total[1]), 6)}

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
            "trainable_parameters": sum(p.numel() for p in self.parameters),
            "bf16": self.bf16,
            "workers": self.world,
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
        return self.from_first(waited) >= self.resources.checkpoint_seconds

    def report(self, metrics: dict[str, Any]) -> None:
        """Hand metrics and, from the first worker, adapter and optimizer state to Ray Train."""
        if self.rank == 0:
            with tempfile.TemporaryDirectory() as folder:
                self.model.save_pretrained(folder)
                torch.save(
                    {
                        "optimizer": self.optimizer.state_dict(),
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

    def resume(self) -> None:
        """Go on from Ray Train's last checkpoint, if there is one."""
        from peft import load_peft_weights, set_peft_model_state_dict

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return
        with checkpoint.as_directory() as folder:
            set_peft_model_state_dict(self.model, load_peft_weights(folder, device="cpu"))
            state = torch.load(Path(folder) / STATE, weights_only=True, map_location="cpu")
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.epoch, self.batch, self.tokens = state["counters"]
        self.seconds, self.losses = state["seconds"], state["losses"]
        self.data_hash = state["data_hash"]


def add_lora(base: Any, spec: AdapterSpec) -> Any:
    """Put a trainable LoRA update on a base model: the parent's, or a fresh one.

    Raises
    ------
    ModelError
        If the parent is no adapter of the same rank.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    h = spec.hyperparameters
    if h.gradient_checkpointing:
        base.gradient_checkpointing_enable()
        base.enable_input_require_grads()
    if spec.parent is not None:
        model = PeftModel.from_pretrained(base, str(spec.parent), is_trainable=True)
        rank = model.peft_config["default"].r
        if rank != h.rank:
            raise ModelError(f"the parent {spec.parent} has rank {rank}, {h.rank} is asked for")
        return model
    targets = linear_names(base) if h.target_modules == "all-linear" else h.target_modules
    config = LoraConfig(
        r=h.rank,
        lora_alpha=h.alpha,
        lora_dropout=h.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    # Updates are kept in float32 also over a bfloat16 base: small steps would vanish.
    return get_peft_model(base, config, autocast_adapter_dtype=True)


def linear_names(base: Any) -> list[str]:
    """Last parts of the names of all linear layers but the output, such as ``q_proj``.

    peft's own ``all-linear`` names every layer in full, which not every server understands.
    """
    output = base.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in base.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not output
        }
    )


def use_bf16(h: LoraHyperparameters, device: torch.device) -> bool:
    """What was asked for, or whether the processor has bfloat16 arithmetic."""
    if h.bf16 is not None:
        return h.bf16
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def unwrap(objective: Any) -> AnswerLoss:
    """The module inside a data-parallel wrapper."""
    return getattr(objective, "module", objective)
