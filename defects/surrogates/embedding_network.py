"""The network that maps placements of defects to a few numbers, equivalent ones almost together.

It reads sites and kinds, nothing that is invariant by construction: that equivalent placements are
the same crystal is what contrastive training teaches it (`training.contrastive`), as for the
symmetry-aware embeddings of Ustyuzhanin and Shibaev. What is left of a dependence on the placement
is removed when it is used: the mean over fixed images of the canonical placement is the same
number for every equivalent one.

The forward pass is written with operations that NumPy arrays and torch tensors share, so that what
was trained by torch predicts without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from defects.encodings.arrays import DefectArrays, defect_arrays
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.hosts import Host
from defects.surrogates.encoded import Encoded

FILE = "embedding.safetensors"
#: Placements embedded at a time; bounds the memory of the pair terms.
CHUNK = 2048


@dataclass(frozen=True)
class NetworkShape:
    """Shape of the network.

    Attributes
    ----------
    width : int
        Numbers per defect.
    pair_width : int
        Products per pair of defects.
    rounds : int
        How often defects hear of each other: one round sees pairs, two see triples.
    dimension : int
        Numbers per configuration.
    images : int
        Placements over which an embedding is averaged when it is used.
    """

    width: int = 64
    pair_width: int = 96
    rounds: int = 2
    dimension: int = 12
    images: int = 8


def forward(p: Mapping[str, Any], sites: Any, kinds: Any, rounds: int) -> Any:
    """Embeddings on the unit sphere.

    Parameters
    ----------
    p : mapping of str to array
        Parameters, of the same library as the other arguments.
    sites, kinds : int array, shape (b, m)
        As in `DefectArrays`.
    rounds : int

    Returns
    -------
    array, shape (b, dimension)
    """
    here = (kinds >= 0)[..., None] * p["one"]
    m = sites.shape[1]
    pair = here[:, :, None] * here[:, None, :] * p["off_diagonal"][:m, :m, None]
    state = p["site"][sites] + p["kind"][kinds.clip(min=0)]
    for r in range(rounds):
        # Waves at two sites multiply to waves of their difference: the way to periodic distances.
        product = (state @ p[f"left{r}"])[:, :, None] * (state @ p[f"right{r}"])[:, None, :]
        heard = ((product @ p[f"pair{r}"] + p[f"pair_bias{r}"]).clip(min=0) * pair).sum(2)
        inner = state @ p[f"own{r}"] + heard @ p[f"heard{r}"] + p[f"inner_bias{r}"]
        state = state + _normal(inner.clip(min=0) @ p[f"out{r}"])
    whole = ((state @ p["pool"] + p["pool_bias"]).clip(min=0) * here).sum(1)
    found = (_normal(whole) @ p["head"] + p["head_bias"]).clip(min=0) @ p["last"]
    return found / ((found * found).sum(1)[:, None] + 1e-12) ** 0.5


def _normal(x: Any) -> Any:
    """Without mean and with variance one along the last axis."""
    x = x - x.mean(-1)[..., None]
    return x / ((x * x).mean(-1)[..., None] + 1e-5) ** 0.5


def initial_parameters(
    host: Host, n_kinds: int, shape: NetworkShape, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Random parameters; sites begin as random mixtures of the waves that fit into the cell."""
    waves = _waves(host)
    w, pw, d = shape.width, shape.pair_width, shape.dimension

    def matrix(rows: int, columns: int) -> np.ndarray:
        return rng.normal(0, rows**-0.5, (rows, columns))

    found: dict[str, np.ndarray] = {
        "site": waves @ matrix(waves.shape[1], w),
        "kind": rng.normal(0, 1, (n_kinds, w)),
        "pool": matrix(w, 2 * w),
        "pool_bias": np.zeros(2 * w),
        "head": matrix(2 * w, 2 * w),
        "head_bias": np.zeros(2 * w),
        "last": matrix(2 * w, d),
    }
    for r in range(shape.rounds):
        found |= {
            f"left{r}": matrix(w, pw),
            f"right{r}": matrix(w, pw),
            f"pair{r}": matrix(pw, pw),
            f"pair_bias{r}": np.zeros(pw),
            f"own{r}": matrix(w, 2 * w),
            f"heard{r}": matrix(pw, 2 * w),
            f"inner_bias{r}": np.zeros(2 * w),
            f"out{r}": matrix(2 * w, w),
        }
    return {name: value.astype(np.float32) for name, value in found.items()}


def constants(max_defects: int) -> dict[str, np.ndarray]:
    """What `forward` needs and training leaves alone."""
    return {
        "one": np.ones(1, dtype=np.float32),
        "off_diagonal": 1 - np.eye(max_defects, dtype=np.float32),
    }


def _waves(host: Host) -> np.ndarray:
    """Plane waves of the supercell at its sites and their sublattices, shape (n_sites, k)."""
    nx, ny = host.supercell[:2]
    numbers = np.array([(a, b) for a in range(nx) for b in range(ny)])
    phase = 2 * np.pi * host.frac_coords[:, :2] @ numbers.T
    sublattice = host.sublattice[:, None] == np.arange(len(host.unit_species))
    # Unit variance, half of it from the waves.
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / len(numbers) ** 0.5
    whole = np.concatenate([waves, sublattice], axis=1)
    return whole * whole.shape[1] ** 0.5


@dataclass
class EmbeddingNetwork:
    """A trained network.

    Attributes
    ----------
    host : Host
    defects : tuple of str
        Vocabulary; the kind of a defect is its index here.
    shape : NetworkShape
    parameters : dict of str to ndarray of float32
    """

    host: Host
    defects: tuple[str, ...]
    shape: NetworkShape
    parameters: dict[str, np.ndarray]

    def raw(self, arrays: DefectArrays) -> np.ndarray:
        """Embeddings of placements as they are, only nearly invariant, shape (n, dimension)."""
        out = np.empty((len(arrays), self.shape.dimension), dtype=np.float32)
        p = {**self.parameters, **constants(arrays.sites.shape[1])}
        for start in range(0, len(arrays), CHUNK):
            rows = slice(start, start + CHUNK)
            out[rows] = forward(p, arrays.sites[rows], arrays.kinds[rows], self.shape.rounds)
        return out

    def embed(self, batch: Encoded) -> np.ndarray:
        """Invariant embeddings, shape (n, dimension), float64.

        The mean over the canonical placement and fixed operations of the host's group on it:
        equivalent configurations have one canonical placement, so the same images.
        """
        canonical = defect_arrays(
            [c.canonical() for c in batch.configurations], self.host, self.defects
        )
        total = np.zeros((len(batch), self.shape.dimension))
        for operation in self._operations:
            total += self.raw(DefectArrays(operation[canonical.sites], canonical.kinds))
        return total / len(self._operations)

    @cached_property
    def _operations(self) -> np.ndarray:
        """Permutations of the images, identity first, shape (images, n_sites)."""
        group = self.host.symmetry
        others = np.random.default_rng(0).permutation(np.arange(1, len(group)))
        return group[np.concatenate([[0], others[: self.shape.images - 1]])]

    def save(self, path: Path) -> None:
        """Write to a safetensors file, with host and vocabulary in its header."""
        from safetensors.numpy import save_file

        facts = {
            "host": self.host.key,
            "defects": self.defects,
            "shape": asdict(self.shape),
        }
        # One entry: safetensors writes several in any order, and equal networks make equal files.
        save_file(self.parameters, path, {"embedding": json.dumps(facts)})

    @classmethod
    def load(cls, path: Path, encoder: SparseEncoder) -> EmbeddingNetwork:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the file is missing, damaged, or of another host or vocabulary, or safetensors is
            not installed.
        """
        try:
            from safetensors import SafetensorError, safe_open
        except ImportError as error:
            raise ModelError("embeddings need safetensors: pip install safetensors") from error
        try:
            with safe_open(path, framework="np") as file:
                facts = json.loads((file.metadata() or {})["embedding"])
                parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            shape, host = NetworkShape(**facts["shape"]), facts["host"]
            defects = tuple(facts["defects"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is no readable embedding: {error}") from error
        if host != encoder.host.key or defects != encoder.defects:
            raise ModelError(
                f"{path} embeds {', '.join(defects)} on {host}, the surrogate has "
                f"{', '.join(encoder.defects)} on {encoder.host.key}: train it again"
            )
        wanted = initial_parameters(encoder.host, len(defects), shape, np.random.default_rng(0))
        if {k: v.shape for k, v in wanted.items()} != {k: v.shape for k, v in parameters.items()}:
            raise ModelError(f"{path} lacks parameters of its network: train the surrogate again")
        return cls(encoder.host, defects, shape, parameters)
