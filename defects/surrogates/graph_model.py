"""Sparse graph networks as a surrogate: an ensemble over folds and seeds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from defects.encodings.frames import FrameGraph, frame_graph, neighbour_table
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded

if TYPE_CHECKING:
    from defects.surrogates.graph_network import GraphNetwork, GraphShape

_SHAPE = "network.json"
_WEIGHTS = "network.safetensors"
#: Configurations predicted at a time; bounds the memory.
CHUNK = 512


@dataclass
class GraphModel:
    """Networks of every fold and seed, averaged.

    Attributes
    ----------
    encoder : SparseEncoder
    shape : GraphShape
    networks : list of GraphNetwork
        As many for every fold, each trained without the labels of its fold.
    """

    space: ClassVar[Literal["z", "total"]] = "z"
    ensemble: ClassVar[bool] = True

    encoder: SparseEncoder
    shape: GraphShape
    networks: list[GraphNetwork]

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean of the networks, shape (n,)."""
        out = np.zeros(len(batch))
        for start in range(0, len(batch), CHUNK):
            rows = slice(start, start + CHUNK)
            graph = frame_graph(batch.arrays[rows], self.encoder.host, self.encoder.defects)
            out[rows] = predict_with(self.networks, graph, threads)
        return out

    def save(self, folder: Path) -> None:
        """Write the shape as JSON and all weights as one safetensors file."""
        from safetensors.torch import save_file

        data = {"shape": asdict(self.shape), "networks": len(self.networks)}
        (folder / _SHAPE).write_text(json.dumps(data))
        weights = {
            f"{number}.{name}": value.contiguous()
            for number, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }
        save_file(weights, folder / _WEIGHTS)

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> GraphModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When a file is missing, damaged, or of another host or vocabulary, or torch is not
            installed.
        """
        try:
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            from defects.surrogates.graph_network import GraphNetwork, GraphShape
        except ImportError as error:
            raise ModelError(
                "a surrogate of kind graph needs torch: pip install 'design-loop[train]'"
            ) from error
        table = neighbour_table(encoder.host, encoder.defects)
        try:
            data = json.loads((folder / _SHAPE).read_text())
            shape = GraphShape(**data["shape"])
            weights = load_file(folder / _WEIGHTS)
            networks = []
            for number in range(int(data["networks"])):
                network = GraphNetwork(shape, table, len(encoder.defects)).eval()
                prefix = f"{number}."
                mine = {k.removeprefix(prefix): v for k, v in weights.items()
                        if k.startswith(prefix)}  # fmt: skip
                network.load_state_dict(mine)
                networks.append(network)
            if not networks:
                raise ValueError("no networks")
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{folder} holds no readable graph network: {error!r}") from error
        return cls(encoder, shape, networks)


def predict_with(networks: list[GraphNetwork], graph: FrameGraph, threads: int = 1) -> np.ndarray:
    """Mean of networks over a graph, shape (n,)."""
    import torch

    from defects.surrogates.graph_network import tensors

    inputs = tensors(graph)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            found = [network(*inputs).numpy() for network in networks]
    finally:
        torch.set_num_threads(before)
    return np.mean(found, axis=0, dtype=float)
