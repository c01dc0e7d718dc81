"""Trains sparse graph networks: one per fold and seed, averaged over the steps of each."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.encodings.frames import FrameGraph, frame_graph, neighbour_table
from defects.errors import ModelError
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from

if TYPE_CHECKING:
    from defects.surrogates.graph_network import GraphNetwork

#: Decay of the running mean of the weights, which is what predicts.
AVERAGE = 0.99
#: Errors below this many spreads of the property count by their square.
KNEE = 0.05


@dataclass(frozen=True)
class GraphSettings:
    """Hyperparameters; `seen`, `width`, `decay`, `dropout` as in `GraphShape`.

    Attributes
    ----------
    steps, batch : int
        Optimizer steps per network, and labels per step (fewer where there are few).
    learning_rate, weight_decay : float
        Of AdamW; the rate falls to zero along a cosine.
    seeds : int
        Networks per fold.
    """

    seen: int = 48
    width: int = 48
    decay: float = 6.0
    dropout: float = 0.2
    steps: int = 800
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.1
    seeds: int = 2


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial; one seed, as a trial need not be the best model."""
    return {
        "seen": trial.suggest_categorical("seen", [24, 48, 96]),
        "width": trial.suggest_categorical("width", [32, 48, 96]),
        "decay": trial.suggest_float("decay", 2.0, 12.0, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "steps": trial.suggest_int("steps", 300, 2000, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-2, 1.0, log=True),
        "seeds": 1,
    }


def fit_graph(task: FitTask, options: FitOptions) -> KindFit:
    """Train networks per fold.

    Raises
    ------
    ModelError
        When torch is not installed.
    """
    try:
        import torch

        from defects.surrogates.graph_model import GraphModel, predict_with
        from defects.surrogates.graph_network import GraphNetwork, GraphShape
    except ImportError as error:
        raise ModelError(
            "a surrogate of kind graph needs torch: pip install 'design-loop[train]'"
        ) from error
    settings = settings_from(GraphSettings(), options.params)
    shape = GraphShape(settings.seen, settings.width, settings.decay, settings.dropout)
    batch, encoder = task.batch, task.batch.encoder
    graph = frame_graph(batch.arrays, encoder.host, encoder.defects)
    table = neighbour_table(encoder.host, encoder.defects)
    networks: list[list[GraphNetwork]] = []
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            for seed in range(settings.seeds):
                late = options.deadline is not None and time.monotonic() > options.deadline
                if networks and late:
                    break
                found = []
                for k in range(task.n_folds):
                    torch.manual_seed((options.seed * 100 + seed) * 100 + k)
                    network = GraphNetwork(shape, table, len(encoder.defects))
                    rows = np.flatnonzero(task.folds != k)
                    train_network(network, graph, task.z[k], task.divisor, rows, settings)
                    found.append(network)
                networks.append(found)
    finally:
        torch.set_num_threads(before)
    held_out = np.empty(len(task.folds))
    for k in range(task.n_folds):
        rows = np.flatnonzero(task.folds == k)
        mine = [found[k] for found in networks]
        held_out[rows] = predict_with(mine, graph[rows], options.threads)
    model = GraphModel(encoder, shape, [network for found in networks for network in found])
    return KindFit(model, held_out, {"networks": len(model.networks)})


def train_network(
    network: GraphNetwork,
    graph: FrameGraph,
    z: np.ndarray,
    divisor: np.ndarray,
    rows: np.ndarray,
    settings: GraphSettings,
) -> None:
    """Train a network on some rows; it is left in evaluation mode with the averaged weights.

    Parameters
    ----------
    network : GraphNetwork
    graph : FrameGraph, n configurations
    z, divisor : ndarray, shape (n,)
        Targets, and by what they are divided to give the property whose error counts.
    rows : ndarray of int
    settings : GraphSettings
    """
    import torch
    from torch.nn import functional

    from defects.surrogates.graph_network import tensors

    inputs = tensors(graph[rows])
    weight = 1 / divisor[rows]
    weight = torch.from_numpy((weight / weight.mean()).astype(np.float32))
    target = weight * torch.from_numpy(z[rows].astype(np.float32))
    parameters = list(network.parameters())
    averaged = [p.detach().clone() for p in parameters]
    # Biases are not drawn to zero.
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    size = max(min(settings.batch, len(rows) // 4), 1)
    order = torch.empty(0, dtype=torch.int64)
    network.train()
    for step in range(settings.steps):
        if len(order) < size:
            order = torch.randperm(len(rows))
        at, order = order[:size], order[size:]
        rate = min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        found = weight[at] * network(*(x[at] for x in inputs))
        loss = functional.smooth_l1_loss(found, target[at], beta=KNEE)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        keep = min(AVERAGE, (1 + step) / (10 + step))
        torch._foreach_lerp_(averaged, [p.detach() for p in parameters], 1 - keep)
    with torch.no_grad():
        for parameter, mean in zip(parameters, averaged, strict=True):
            parameter.copy_(mean)
    network.eval()
