"""Pretraining of the small base model: a plain PyTorch loop over an endless corpus."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defects.errors import ModelError
from training.base_model import BaseModelSettings, build_model, save_base
from training.schedule import Schedule
from training.stream import BatchStream, Corpus

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

Evaluate = Callable[["PreTrainedModel", "PreTrainedTokenizerBase"], dict[str, float]]


@dataclass(frozen=True)
class PretrainSettings:
    """How to pretrain.

    Attributes
    ----------
    minutes : float
        Wall-clock budget; the learning-rate schedule ends with it. Time before a restart counts.
    max_steps : int or None
        Ends the run earlier; then the schedule follows the steps.
    optimizer : str
        ``muon`` (orthogonalised momentum for the matrices, AdamW for embedding and norms) or
        ``adamw``.
    learning_rate : float
        Peak for ``adamw`` parameters.
    muon_learning_rate : float
        Peak for the matrices with ``muon``.
    batch_tokens : int
        Tokens of a batch, padding included.
    prompt_weight : float
        Loss weight of prompt tokens, beside 1 for the answer's; 0 leaves them out.
    threads : int or None
        Threads of PyTorch; None for all cores.
    first_share : float
        Share of the budget that goes to the first corpus, where there is one.
    bf16 : bool
        bfloat16 autocast; pays where the CPU has AVX512-BF16 or AMX, and on GPUs.
    """

    minutes: float = 40.0
    max_steps: int | None = None
    optimizer: str = "muon"
    learning_rate: float = 2e-3
    muon_learning_rate: float = 0.01
    warmup: float = 0.03
    final_lr: float = 0.02
    weight_decay: float = 0.05
    clip: float = 1.0
    batch_tokens: int = 4096
    prompt_weight: float = 0.0
    first_share: float = 0.08
    bf16: bool = True
    threads: int | None = None
    device: str = "cpu"
    seed: int = 0
    checkpoint_minutes: float = 3.0
    eval_minutes: float = 8.0
    log_seconds: float = 15.0
    model: BaseModelSettings = field(default_factory=BaseModelSettings)


def pretrain(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    out_dir: str | Path,
    settings: PretrainSettings | None = None,
    *,
    first: Corpus | None = None,
    evaluate: Evaluate | None = None,
    on_progress: Callable[[dict[str, float]], None] | None = None,
    dtype: str = "float16",
) -> dict[str, Any]:
    """Train a base model from scratch and write it to a folder; an interrupted run goes on.

    Parameters
    ----------
    corpus : callable
        ``corpus(seed)`` yields (prompt, answer) pairs without end; picklable.
    tokenizer : PreTrainedTokenizerBase
    out_dir : path
        Gets the finished model, ``train_log.jsonl``, and ``checkpoint.pt`` while the run lasts.
    settings : PretrainSettings, optional
    first : callable, optional
        Corpus of the first share of the budget: something simple that all the rest builds on.
    evaluate : callable, optional
        Gets model and tokenizer now and then and returns figures for the log.
    on_progress : callable, optional
        Gets every line of the log.
    dtype : str
        Type of the stored weights.

    Returns
    -------
    dict
        Last line of the log with the figures of the last evaluation.

    Raises
    ------
    ModelError
        If the corpus fails, or the checkpoint is of a run with other settings.
    """
    import torch

    s = settings or PretrainSettings()
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(s.threads or len(os.sched_getaffinity(0)))
    run = _Run(s, build_model(tokenizer, s.model, seed=s.seed).to(s.device))
    run.resume(out / "checkpoint.pt")
    figures: dict[str, float] = {}

    def log(line: dict[str, float]) -> None:
        with (out / "train_log.jsonl").open("a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")
        if on_progress is not None:
            on_progress(line)

    clock = _Clock(s)
    stages = [(1.0, corpus)] if first is None else [(s.first_share, first), (1.0, corpus)]
    for batch in _batches(stages, run, tokenizer):
        run.train_step(batch)
        if clock.due("log", s.log_seconds):
            log(run.report())
        if clock.due("checkpoint", 60 * s.checkpoint_minutes):
            run.save(out / "checkpoint.pt")
        if evaluate and clock.due("eval", 60 * s.eval_minutes) and run.progress() < 1:
            figures = run.without_clock(lambda: evaluate(run.model, tokenizer))
            log({"step": run.step, **figures})
    if evaluate:
        figures = run.without_clock(lambda: evaluate(run.model, tokenizer))
    result = {**run.report(), **figures}
    log(result)
    save_base(run.model, tokenizer, out, dtype=dtype, card=_card(s, result))
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return result


def _batches(
    stages: list[tuple[float, Corpus]], run: _Run, tokenizer: PreTrainedTokenizerBase
) -> Iterator[dict[str, np.ndarray]]:
    """Batches of one corpus after the other, each until its share of the budget is spent."""
    s = run.settings
    for number, (until, corpus) in enumerate(stages):
        if run.progress() >= until:
            continue
        with BatchStream(
            corpus,
            tokenizer,
            # After a restart the stream goes on with other examples, not with the first ones again.
            seed=(s.seed * len(stages) + number) * 1_000_003 + run.step,
            max_tokens=s.batch_tokens,
            max_length=s.model.max_positions,
        ) as batches:
            for batch in batches:
                yield batch
                if run.progress() >= until:
                    break


class _Clock:
    """Tells when something that happens now and then is due again."""

    def __init__(self, settings: PretrainSettings) -> None:
        self._last: dict[str, float] = {}
        self._start = time.monotonic()

    def due(self, name: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last.get(name, self._start) < seconds:
            return False
        self._last[name] = now
        return True


class _Run:
    """Model, optimiser and counters of one run, which a checkpoint restores."""

    def __init__(self, settings: PretrainSettings, model: PreTrainedModel) -> None:
        self.settings = settings
        self.model = model
        self.optimizers = make_optimizers(model, settings)
        self.step = self.tokens = self.answer_tokens = 0
        self._before = 0.0
        self._start = time.monotonic()
        self._losses: list[tuple[float, bool]] = []
        self._mark = (self._start, 0)

    def elapsed(self) -> float:
        """Seconds of training, those before a restart included."""
        return self._before + time.monotonic() - self._start

    def without_clock(self, action: Callable[[], Any]) -> Any:
        """Do something that the time budget does not pay for."""
        began = time.monotonic()
        result = action()
        pause = time.monotonic() - began
        self._start += pause
        self._mark = (self._mark[0] + pause, self._mark[1])
        return result

    def progress(self) -> float:
        """Share of the budget that is spent, 0..1."""
        spent = self.elapsed() / (60 * self.settings.minutes)
        if self.settings.max_steps is not None:
            spent = max(spent, self.step / self.settings.max_steps)
        return min(spent, 1.0)

    def train_step(self, batch: dict[str, Any]) -> None:
        """One optimiser step."""
        import torch

        s = self.settings
        self.model.train()
        ids = torch.from_numpy(batch["input_ids"]).to(s.device)
        labels = torch.from_numpy(batch["labels"]).to(s.device)
        with torch.autocast(s.device, torch.bfloat16, enabled=s.bf16):
            loss = answer_loss(self.model, ids, labels, s.prompt_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.clip)
        progress = self.progress()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                schedule = Schedule(group["peak"], s.warmup, s.final_lr)
                group["lr"] = schedule.at(progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        value = float(loss.detach())
        if value != value:
            raise ModelError(f"the loss is not a number at step {self.step}: lower learning rate")
        self.step += 1
        self.tokens += batch["input_ids"].size
        self.answer_tokens += int((batch["labels"] >= 0).sum())
        self._losses.append((value, batch["input_ids"].shape[1] > 256))

    def report(self) -> dict[str, float]:
        """A line for the log: means since the last one."""
        now = time.monotonic()
        line: dict[str, float] = {
            "step": self.step,
            "minutes": round(self.elapsed() / 60, 3),
            "progress": round(self.progress(), 4),
            "lr": self.optimizers[0].param_groups[0]["lr"],
            "tokens": self.tokens,
            "answer_tokens": self.answer_tokens,
            "tokens_per_s": round((self.tokens - self._mark[1]) / max(now - self._mark[0], 1e-9)),
        }
        for name, long in (("loss", False), ("loss_long", True)):
            values = [v for v, is_long in self._losses if is_long == long]
            if values:
                line[name] = round(sum(values) / len(values), 5)
        self._losses.clear()
        self._mark = (now, self.tokens)
        return line

    def save(self, path: Path) -> None:
        """Write a checkpoint; the old one stays until the new one is complete."""
        import torch

        partial = path.with_suffix(".partial")
        torch.save(
            {
                "settings": asdict(self.settings.model),
                "seed": self.settings.seed,
                "model": self.model.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
                "counters": (self.step, self.tokens, self.answer_tokens, self.elapsed()),
            },
            partial,
        )
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        import torch

        if not path.is_file():
            return
        saved = torch.load(path, weights_only=True, map_location=self.settings.device)
        if saved["settings"] != asdict(self.settings.model):
            raise ModelError(
                f"{path} is of a run with another model shape: delete it, or give its settings"
            )
        self.model.load_state_dict(saved["model"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step, self.tokens, self.answer_tokens, self._before = saved["counters"]
        self._mark = (self._start, self.tokens)
        logger.info("going on from step %d after %.1f minutes", self.step, self._before / 60)


def answer_loss(
    model: PreTrainedModel,
    ids: torch.Tensor,
    labels: torch.Tensor,
    prompt_weight: float = 0.0,
) -> torch.Tensor:
    """Mean cross entropy over answer tokens; logits are computed only where there is a loss.

    Parameters
    ----------
    model : LlamaForCausalLM
    ids, labels : (b, t) int64
        Labels are `IGNORE` on prompt and padding.
    prompt_weight : float
        Weight of prompt tokens beside 1 for answer tokens.
    """
    import torch

    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    target = labels[:, 1:]
    answer = target >= 0
    if prompt_weight > 0:
        # The first answer token ends the prompt; padding comes after it.
        prompt = (answer.cumsum(1) == 0) & ~answer
        chosen = answer | prompt
        weight = torch.where(answer, 1.0, prompt_weight)[chosen]
        target = ids[:, 1:]
    else:
        chosen, weight = answer, None
    logits = model.lm_head(hidden[chosen]).float()
    losses = torch.nn.functional.cross_entropy(logits, target[chosen], reduction="none")
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()


def make_optimizers(model: PreTrainedModel, s: PretrainSettings) -> list[torch.optim.Optimizer]:
    """AdamW over everything, or Muon over the layers' matrices and AdamW over the rest.

    Muon (Jordan et al. 2024; ``torch.optim.Muon``) orthogonalises each update, which on matrices of
    this size costs a few percent of a step and saves far more steps.
    """
    import torch

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "layers" in n)]
    adam = {"betas": (0.9, 0.95), "fused": True}
    if s.optimizer == "muon":
        optimizers = [
            torch.optim.Muon(matrices, lr=s.muon_learning_rate, weight_decay=s.weight_decay),
            torch.optim.AdamW(others, lr=s.learning_rate, weight_decay=0.0, **adam),
        ]
    elif s.optimizer == "adamw":
        optimizers = [
            torch.optim.AdamW(matrices, lr=s.learning_rate, weight_decay=s.weight_decay, **adam),
            torch.optim.AdamW(others, lr=s.learning_rate, weight_decay=0.0, **adam),
        ]
    else:
        raise ModelError(f"optimizer {s.optimizer!r} is none of muon, adamw")
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def _card(s: PretrainSettings, result: dict[str, Any]) -> dict[str, Any]:
    return {
        "shape": f"{s.model.layers} layers, width {s.model.hidden_size}, "
        f"{s.model.hidden_size // s.model.head_dim} heads of {s.model.head_dim}",
        "seed": s.seed,
        "optimiser": s.optimizer,
        **result,
    }
