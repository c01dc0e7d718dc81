"""The sparse graph network: defects as nodes, as each sees the others (needs torch).

After the sparse representation of Kazeev et al. (2023). What a defect sees is summed per frame of
its site (`defects.encodings.frames`), passed through a small network, and pooled over the frames;
then defects exchange messages, damped with the distance; the sum, maximum and minimum over them and
the state of the whole give the property, beside a sum of terms of the single nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from defects.encodings.frames import FrameGraph, NeighbourTable

#: Distances that a Gaussian stands for, Å.
CENTRES = tuple(np.arange(1.0, 16.0, 1.5))
FAR = 1e3


@dataclass(frozen=True)
class GraphShape:
    """Shape of the network.

    Attributes
    ----------
    seen : int
        Numbers per defect that another sees.
    width : int
        Numbers per node and layer.
    decay : float
        Length over which what is seen fades at the outset, Å.
    dropout : float
        While training.
    """

    seen: int = 48
    width: int = 48
    decay: float = 6.0
    dropout: float = 0.2


class GraphNetwork(nn.Module):
    """One network.

    Parameters
    ----------
    shape : GraphShape
    table : NeighbourTable
    n_kinds : int
    """

    def __init__(self, shape: GraphShape, table: NeighbourTable, n_kinds: int) -> None:
        super().__init__()
        width = shape.width
        self.n_kinds = n_kinds
        fade = np.exp((table.distance.min(initial=np.inf) - table.distance) / shape.decay)
        self.register_buffer("fade", _tensor(fade)[:, None], persistent=False)
        self.register_buffer("smooth", _gaussians(_tensor(table.distance)), persistent=False)
        self.register_buffer("pair", torch.from_numpy(table.kinds), persistent=False)
        self.ways = nn.Parameter(0.2 * torch.randn(len(table), shape.seen))
        self.by_distance = nn.Parameter(0.2 * torch.randn(n_kinds**2, len(CENTRES), shape.seen))
        self.kind = nn.Parameter(0.5 * torch.randn(n_kinds + 1, shape.seen))
        self.see = nn.Linear(shape.seen, width)
        self.pool = nn.Linear(2 * width + shape.seen, width)
        self.gate = nn.Linear(len(CENTRES), width, bias=False)
        self.hear = nn.Linear(2 * width, width)
        self.term = nn.Linear(width, 1)
        self.whole = nn.Linear(3 * width + n_kinds + 3, width)
        self.out = nn.Linear(width, 1)
        self.dropout = nn.Dropout(shape.dropout)
        for layer in (self.term, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        kinds: torch.Tensor,
        neighbours: torch.Tensor,
        frames: torch.Tensor,
        distance: torch.Tensor,
        state: torch.Tensor,
    ) -> torch.Tensor:
        """Property of every configuration, shape (n,); arguments as in `FrameGraph`."""
        n, m, f, _ = neighbours.shape
        smooth = torch.einsum("wg,wgc->wc", self.smooth, self.by_distance[self.pair])
        ways = self.fade * (self.ways + smooth)
        ways = torch.cat([ways, ways.new_zeros(1, ways.shape[1])])
        seen = functional.embedding_bag(neighbours.reshape(-1, m), ways, mode="sum")
        own = self.kind[kinds]
        seen = seen.reshape(n, m, f, -1) + own[:, :, None]
        seen = functional.silu(self.see(functional.silu(seen)))
        mine = frames[..., None]
        mean = (seen * mine).sum(dim=2) / mine.sum(dim=2)
        most = seen.masked_fill(~mine, -FAR).amax(dim=2)
        node = functional.silu(self.pool(torch.cat([mean, most, own], dim=-1)))
        message = (self.gate(_gaussians(distance)) * node[:, None]).sum(dim=2)
        heard = self.hear(self.dropout(torch.cat([node, message], dim=-1)))
        node = node + functional.silu(heard)
        here = (kinds < self.n_kinds)[..., None]
        total = (node * here).sum(dim=1)
        highest = node.masked_fill(~here, -FAR).amax(dim=1).clamp(min=-10)
        lowest = node.masked_fill(~here, FAR).amin(dim=1).clamp(max=10)
        whole = self.dropout(torch.cat([total, highest, lowest, state], dim=-1))
        terms = (self.term(node) * here).sum(dim=(1, 2))
        return self.out(functional.silu(self.whole(whole)))[:, 0] + terms


def tensors(graph: FrameGraph) -> list[torch.Tensor]:
    """A graph as the arguments of `GraphNetwork.forward`."""
    arrays = (graph.kinds, graph.neighbours, graph.frames, graph.distance, graph.state)
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _gaussians(distance: torch.Tensor) -> torch.Tensor:
    """Gaussians of distances, on a new last axis; all zero at infinity."""
    centres = distance.new_tensor(CENTRES)
    return torch.exp(-(((distance[..., None] - centres) / 1.5) ** 2) / 2)
