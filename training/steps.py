"""One optimizer step, and one evaluation, over any number of workers and micro-batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from defects.errors import ModelError
from training.epochs import answer_weight, micro_batches, worker_share
from training.examples import Encoded, collate
from training.parallel import Parallel, plain
from training.spec import LoraHyperparameters


class Steps:
    """Trains a placed model batch by batch.

    Parameters
    ----------
    objective : nn.Module
        What `training.parallel.Parallel.place` returned.
    hyperparameters : LoraHyperparameters
    parallel : Parallel
    pad_id : int
        Token for padding.
    bf16 : bool
        Compute in bfloat16 where autocast does.
    """

    def __init__(
        self,
        objective: nn.Module,
        hyperparameters: LoraHyperparameters,
        parallel: Parallel,
        *,
        pad_id: int,
        bf16: bool,
    ) -> None:
        self.objective, self.h, self.parallel = objective, hyperparameters, parallel
        self.pad_id, self.bf16 = pad_id, bf16
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.h.learning_rate, weight_decay=self.h.weight_decay
        )

    def train(self, batch: Sequence[Encoded], progress: float) -> float:
        """One optimizer step over a batch that all workers share.

        Parameters
        ----------
        progress : float
            Share of the run that is done, 0..1, for the learning rate.

        Returns
        -------
        float
            Weighted mean loss per answer token of the whole batch, the same on every worker.

        Raises
        ------
        ModelError
            If the loss is not finite, before the weights are touched; on every worker alike.
        """
        self.objective.train()
        share = worker_share(batch, self.parallel.rank, self.parallel.world)
        parts = self.parts(share)
        weight = answer_weight(batch)
        total = torch.zeros((), device=self.parallel.device)
        for i, part in enumerate(parts):
            with self.parallel.last(self.objective, i == len(parts) - 1):
                with self._precision():
                    # Gradients are averaged over workers: times their number.
                    loss = self.objective(*self.tensors(part)) * (self.parallel.world / weight)
                loss.backward()
            total += loss.detach()
        loss = float(self.parallel.sum(total)) / self.parallel.world
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss}: try a lower learning rate than {self.h.learning_rate}"
            )
        torch.nn.utils.clip_grad_norm_(self.parameters, self.h.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.h.course.at(progress)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def evaluate(self, examples: Sequence[Encoded]) -> float:
        """Mean loss per answer token, every example counting alike."""
        self.objective.eval()
        # Past a data-parallel wrapper, which would have all workers meet at every forward pass.
        objective = plain(self.objective)
        mine = worker_share(examples, self.parallel.rank, self.parallel.world)
        sums = torch.zeros(2, dtype=torch.float64)
        # Not inference mode: gathered weights made there could not be trained with afterwards.
        with torch.no_grad():
            for part in self.parts(mine):
                ids, labels, weights = self.tensors(part)
                with self._precision():
                    summed = objective(ids, labels, (weights > 0).float())
                counted = sum(len(e) - e.n_prompt for e in part if e.weight > 0)
                sums += torch.tensor([float(summed), counted], dtype=torch.float64)
        total, count = self.parallel.sum(sums)
        return float(total / count)

    def parts(self, share: Sequence[Encoded]) -> list[list[Encoded]]:
        """Micro-batches of a worker; as many on each where they have to be made together."""
        parts = micro_batches(share, self.h.micro_tokens)
        idle = [Encoded(share[0].ids, share[0].n_prompt, 0.0)]
        return parts + [idle] * (self.parallel.rounds(len(parts)) - len(parts))

    def tensors(self, part: Sequence[Encoded]) -> tuple[torch.Tensor, ...]:
        """Token ids, labels and weights on the device."""
        arrays = collate(part, self.pad_id)
        return tuple(
            torch.from_numpy(arrays[name]).to(self.parallel.device)
            for name in ("input_ids", "labels", "weights")
        )

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.parallel.device.type, torch.bfloat16, enabled=self.bf16)
