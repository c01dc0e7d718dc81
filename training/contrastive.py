"""Trains symmetry-aware embeddings without labels: equivalent placements together, others apart.

After the symmetry-aware neural embeddings of Ustyuzhanin and Shibaev, with the normalised
temperature-scaled cross entropy of Chen et al. (SimCLR, 2020). A batch holds random placements
of few compositions, so that most of what a placement is told from differs in distances only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from defects.encodings.arrays import DefectArrays, defect_arrays
from defects.errors import ModelError
from defects.hosts import Host
from defects.rules import Rules, parse_defect
from defects.sampling import random_configuration
from defects.surrogates.embedding_network import (
    EmbeddingNetwork,
    NetworkShape,
    constants,
    forward,
    initial_parameters,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ContrastiveSettings:
    """How to train.

    Attributes
    ----------
    steps : int
    compositions, placements : int
        A batch holds so many placements of each of so many compositions, and an image of each.
    temperature : float
        Of the cross entropy; small: only the nearest others are pushed away.
    learning_rate : float
        Peak; warmed up over the first twentieth, then down a cosine.
    """

    steps: int = 1500
    compositions: int = 12
    placements: int = 16
    temperature: float = 0.1
    learning_rate: float = 2e-3
    seed: int = 0
    shape: NetworkShape = field(default_factory=NetworkShape)


class PlacementSource:
    """Random placements on a host under rules.

    Parameters
    ----------
    host : Host
    defects : sequence of str
    max_defects : int
    seed : int
    """

    def __init__(self, host: Host, defects: tuple[str, ...], max_defects: int, seed: int) -> None:
        self.host, self.defects = host, defects
        self.rules = Rules(defects=defects, max_defects=max_defects)
        self.rng = np.random.default_rng(seed)
        elements = [parse_defect(name)[1] for name in defects]
        self._element = np.array([sorted(set(elements)).index(e) for e in elements])
        self._sites = [np.flatnonzero(np.array(host.species) == e) for e in sorted(set(elements))]
        # Numbers whose sums name a class of placements; a collision has odds of 1 in 2^64.
        self._codes = np.random.default_rng(0).integers(
            0, 2**63, (host.n_sites, len(defects) + 1), dtype=np.uint64
        )
        self._codes[:, -1] = 0

    def batch(self, compositions: int, placements: int) -> DefectArrays:
        """Placements, those of one composition in a row."""
        chosen = [
            random_configuration(self.host, self.rules, self.rng) for _ in range(compositions)
        ]
        kinds = defect_arrays(chosen, self.host, self.defects).kinds.repeat(placements, axis=0)
        sites = np.zeros_like(kinds)
        for number, allowed in enumerate(self._sites):
            here = (kinds >= 0) & (self._element[kinds] == number)
            order = self.rng.random((len(kinds), len(allowed))).argsort(axis=1)
            slot = (here.cumsum(axis=1) - 1).clip(0)
            sites = np.where(here, allowed[np.take_along_axis(order, slot, axis=1)], sites)
        return DefectArrays(sites, kinds)

    def image(self, arrays: DefectArrays) -> DefectArrays:
        """Each placement under a random operation of the host's group, translations included."""
        group = self.host.symmetry
        operations = self.rng.integers(len(group), size=len(arrays))
        return DefectArrays(group[operations[:, None], arrays.sites], arrays.kinds)

    def classes(self, arrays: DefectArrays) -> np.ndarray:
        """A number per placement, equal for equivalent ones, shape (n,), uint64."""
        images = self.host.symmetry[:, arrays.sites]
        return self._codes[images, arrays.kinds].sum(axis=2, dtype=np.uint64).min(axis=0)


def pretrain_embedding(
    host: Host,
    defects: tuple[str, ...],
    max_defects: int,
    settings: ContrastiveSettings | None = None,
    threads: int = 1,
) -> EmbeddingNetwork:
    """Train an embedding network on random placements; no label is looked at.

    Parameters
    ----------
    host : Host
    defects : tuple of str
        Vocabulary.
    max_defects : int
        Most defects of a placement.
    settings : ContrastiveSettings, optional
    threads : int

    Raises
    ------
    ModelError
        When torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ModelError("embeddings need torch: pip install 'design-loop[train]'") from error

    s = settings or ContrastiveSettings()
    start = initial_parameters(host, len(defects), s.shape, np.random.default_rng(s.seed))
    parameters = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    fixed = {k: torch.tensor(v) for k, v in constants(max_defects).items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=s.learning_rate, weight_decay=1e-4)
    warmup = max(s.steps // 20, 1)

    def rate(step: int) -> float:
        return min((step + 1) / warmup, 0.5 + 0.5 * np.cos(np.pi * step / s.steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    source = PlacementSource(host, defects, max_defects, s.seed)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(s.steps):
            one = source.batch(s.compositions, s.placements)
            views = [source.image(one), source.image(one)]
            found = [
                forward(
                    {**parameters, **fixed},
                    torch.from_numpy(v.sites),
                    torch.from_numpy(v.kinds),
                    s.shape.rounds,
                )
                for v in views
            ]
            loss = contrastive_loss(*found, source.classes(one), s.temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    finally:
        torch.set_num_threads(before)
    trained = {k: v.detach().numpy() for k, v in parameters.items()}
    return EmbeddingNetwork(host, defects, s.shape, trained)


def contrastive_loss(
    one: torch.Tensor, two: torch.Tensor, classes: np.ndarray, temperature: float
) -> torch.Tensor:
    """Mean cross entropy of finding each embedding's partner among all of the batch (NT-Xent).

    Parameters
    ----------
    one, two : tensor, shape (b, d)
        Unit embeddings; rows of the same number belong together.
    classes : ndarray, shape (b,)
        Rows of one class are equivalent by chance, so they do not count as others.
    temperature : float
    """
    import torch

    b = len(one)
    both = torch.cat([one, two])
    likeness = both @ both.T / temperature
    same = np.tile(classes[:, None] == classes[None, :], (2, 2))
    partner = np.roll(np.arange(2 * b), b)
    same[np.arange(2 * b), partner] = False
    likeness = likeness.masked_fill(torch.from_numpy(same), -1e9)
    return torch.nn.functional.cross_entropy(likeness, torch.from_numpy(partner))


def alignment(
    network: EmbeddingNetwork, max_defects: int, seed: int = 1, n: int = 512
) -> dict[str, float]:
    """How near equivalent placements lie, as the raw network maps them.

    Returns
    -------
    dict
        Mean distance of a random placement to an image, over that to random others (``others``)
        and to others of the same composition (``same_composition``). 0: exactly invariant; 1: not.
    """
    source = PlacementSource(network.host, network.defects, max_defects, seed)
    one = source.batch(n // 8, 8)
    found, image = network.raw(one), network.raw(source.image(one))
    classes = source.classes(one)
    near = float(np.linalg.norm(found - image, axis=1).mean())
    apart = np.linalg.norm(found[:, None] - found[None], axis=2)
    other = classes[:, None] != classes[None]
    composition = np.arange(len(one)) // 8
    alike = other & (composition[:, None] == composition[None])
    return {
        "others": near / float(apart[other].mean()) if other.any() else float("nan"),
        "same_composition": near / float(apart[alike].mean()) if alike.any() else float("nan"),
    }
