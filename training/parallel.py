"""How workers share a model: each holds all of it (DDP), or a part of every weight (FSDP)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from defects.errors import ModelError


class Parallel:
    """The workers of one training, seen from one of them; also where there is only one.

    Parameters
    ----------
    sharding : {"ddp", "fsdp"}
    device : torch.device
        Of this worker.
    rank, world : int
        With more than one worker, `torch.distributed` has to be initialised.
    """

    def __init__(self, sharding: str, device: torch.device, rank: int = 0, world: int = 1) -> None:
        self.device, self.rank, self.world = device, rank, world
        self.sharded = sharding == "fsdp" and world > 1

    def place(self, objective: nn.Module, files: Iterable[Path] = ()) -> nn.Module:
        """Put a model on the devices, sharded or whole.

        Parameters
        ----------
        objective : nn.Module
            A `training.objective.AnswerLoss`; to be sharded, its base has no weights yet.
        files : iterable of Path
            Safetensors files of a base to be sharded.

        Returns
        -------
        nn.Module
            To be called in its place.
        """
        if self.sharded:
            return self._shard(objective, files)
        if self.world == 1:
            return _to(objective, self.device)
        from torch.nn.parallel import DistributedDataParallel

        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(_to(objective, self.device), device_ids=devices)

    def _shard(self, objective: nn.Module, files: Iterable[Path]) -> nn.Module:
        """Fully sharded data parallelism (FSDP2), layer by layer, loaded shard by shard.

        No worker ever holds the whole base: each reads every weight's own rows from the files.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (self.world,))
        base = objective.model.get_base_model()
        layers = getattr(base.get_decoder(), "layers", None)
        if layers is None:
            raise ModelError(
                f"a {base.config.model_type} model cannot be sharded by layers: use sharding ddp"
            )
        for layer in layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(objective, mesh=mesh)
        for module in objective.modules():
            if any(p.is_meta for p in module.parameters(recurse=False)):
                module.to_empty(device=self.device, recurse=False)
        load_weights(objective.model, files)
        return objective

    def last(self, objective: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Around a micro-batch: gradients are exchanged after the last one of a step."""
        if self.sharded:
            objective.set_requires_gradient_sync(last)
            objective.set_is_last_backward(last)
            return nullcontext()
        if self.world > 1 and not last:
            return objective.no_sync()
        return nullcontext()

    def rounds(self, parts: int) -> int:
        """Forward passes that each worker has to make: sharded weights are gathered together."""
        if not self.sharded:
            return parts
        most = torch.tensor(parts, device=self.device)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        return int(most)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over workers, in float64 on the CPU."""
        values = values.detach().to(self.device, torch.float64)
        if self.world > 1:
            dist.all_reduce(values)
        return values.cpu()

    def from_first(self, value: float) -> float:
        """The first worker's value: clocks differ, and all workers have to agree."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return float(shared)


def plain(objective: nn.Module) -> nn.Module:
    """The module inside a data-parallel wrapper."""
    return getattr(objective, "module", objective)


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Whole trainable parameters on the CPU; all workers have to ask."""
    return {name: whole(p) for name, p in model.named_parameters() if p.requires_grad}


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Whole state on the CPU, for any number of workers to go on from; all have to ask."""
    state = optimizer.state_dict()
    held = {
        index: {k: whole(v) if isinstance(v, torch.Tensor) else v for k, v in entry.items()}
        for index, entry in state["state"].items()
    }
    return {"state": held, "param_groups": state["param_groups"]}


def set_optimizer_state(
    optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], state: dict[str, Any]
) -> None:
    """Inverse of `optimizer_state`: each worker takes its part."""
    held = {
        index: {
            k: part_of(v, parameters[index]) if getattr(v, "ndim", 0) else v
            for k, v in entry.items()
        }
        for index, entry in state["state"].items()
    }
    optimizer.load_state_dict({"state": held, "param_groups": state["param_groups"]})


def load_weights(model: nn.Module, files: Iterable[Path]) -> None:
    """Fill the frozen parameters of a (sharded) model from safetensors files.

    Raises
    ------
    ModelError
        If the files do not name every parameter as the model does.
    """
    from safetensors import safe_open

    wanted = {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): p
        for name, p in model.named_parameters()
        if not p.requires_grad
    }
    for file in files:
        with safe_open(file, "pt") as held, torch.no_grad():
            for name in held.keys():  # noqa: SIM118 - no mapping
                p = wanted.pop(name, None)
                if p is not None:
                    mine = part_of(held.get_tensor(name).to(p.dtype), p)
                    local(p).copy_(local(mine))
    if wanted:
        raise ModelError(
            f"the base model's files lack {next(iter(wanted))} and {len(wanted) - 1} more weights "
            "under their names here: use sharding ddp"
        )


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, of which this worker may hold a part, on the CPU."""
    gathered = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered.detach().cpu()


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What this worker holds of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def part_of(full: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor, cut for this worker as another one is."""
    if not hasattr(like, "to_local"):
        return full
    from torch.distributed.tensor import distribute_tensor

    # Every worker has the whole: nothing is sent.
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)


def _to(objective: nn.Module, device: torch.device) -> nn.Module:
    base = objective.model.get_base_model()
    if getattr(base, "is_loaded_in_4bit", False):
        # Its weights are where they were quantized; only the update is still on the CPU.
        for p in objective.parameters():
            if p.requires_grad:
                p.data = p.data.to(device)
        return objective
    return objective.to(device)
