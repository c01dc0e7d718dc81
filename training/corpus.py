"""The label-free corpus on which the small base model is pretrained.

Enumerated and random defect structures of several hosts, in both formats. The requests carry
quantities that need no calculation (defect counts, concentrations, pair distances), so that the
model knows hosts, sites, rules and digits before LoRA shows it a property.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from defects.configuration import Configuration
from defects.descriptors import DESCRIPTORS, describe
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import training_pair

#: Defects that are pretrained on, per host: those of 2DMD and swaps of like elements.
HOST_DEFECTS: dict[str, tuple[str, ...]] = {
    "MoS2": ("V_Mo", "V_S", "W_Mo", "Se_S"),
    "WSe2": ("V_W", "V_Se", "Mo_W", "S_Se"),
    "hBN": ("V_B", "V_N", "C_B", "C_N"),
    "GaSe": ("V_Ga", "V_Se", "In_Ga", "S_Se"),
    "InSe": ("V_In", "V_Se", "Ga_In", "S_Se"),
    "BP": ("V_P", "N_P"),
}


@dataclass(frozen=True)
class Part:
    """One share of the corpus.

    Attributes
    ----------
    host, supercell, fmt : str
    max_defects : int
        Requests draw their own limits up to this number.
    share : float
        Relative frequency.
    """

    host: str
    supercell: str
    fmt: str
    max_defects: int
    share: float


#: Mostly MoS2, the host of the shipped presets; every host often enough to be learnt.
COMPACT_PARTS = (
    Part("MoS2", "4x4", "compact", 6, 10),
    Part("MoS2", "8x8", "compact", 3, 8),
    Part("MoS2", "5x5", "compact", 6, 1),
    Part("MoS2", "6x6", "compact", 6, 1),
    Part("WSe2", "4x4", "compact", 6, 1.5),
    Part("WSe2", "8x8", "compact", 3, 1.5),
    Part("hBN", "4x4", "compact", 6, 1),
    Part("hBN", "8x8", "compact", 6, 1),
    Part("GaSe", "4x4", "compact", 6, 0.7),
    Part("GaSe", "6x6", "compact", 6, 0.7),
    Part("InSe", "4x4", "compact", 6, 0.7),
    Part("InSe", "6x6", "compact", 6, 0.7),
    Part("BP", "4x4", "compact", 6, 0.7),
    Part("BP", "6x6", "compact", 6, 0.7),
)
#: The full list is long: small cells teach the copying, the 4×4 cell the length.
FULL_PARTS = (
    Part("MoS2", "1x1", "full", 1, 1.5),
    Part("WSe2", "2x1", "full", 2, 1),
    Part("MoS2", "2x2", "full", 3, 3),
    Part("MoS2", "3x3", "full", 4, 2),
    Part("MoS2", "4x4", "full", 6, 3),
    Part("WSe2", "2x2", "full", 3, 0.5),
    Part("WSe2", "3x3", "full", 4, 0.5),
    Part("hBN", "3x3", "full", 4, 0.5),
    Part("hBN", "4x4", "full", 6, 0.5),
    Part("GaSe", "2x2", "full", 3, 0.5),
    Part("InSe", "2x2", "full", 3, 0.5),
    Part("BP", "2x2", "full", 3, 0.5),
)


#: What a model that begins from nothing reads first: copying, and hardly anything else.
COPYING_PARTS = (
    Part("MoS2", "1x1", "full", 1, 2),
    Part("WSe2", "2x1", "full", 2, 2),
    Part("MoS2", "2x2", "full", 3, 3),
    Part("MoS2", "3x3", "full", 3, 1),
)


@lru_cache(maxsize=512)
def _rules(defects: tuple[str, ...], low: int, high: int) -> Rules:
    return Rules(defects=defects, min_defects=low, max_defects=high)


def random_rules(part: Part, rng: np.random.Generator) -> Rules:
    """Rules as a user might write them: some of the defects, some range of numbers."""
    known = HOST_DEFECTS[part.host]
    chosen = known
    if rng.random() < 0.3:
        size = int(rng.integers(1, len(known) + 1))
        chosen = tuple(known[i] for i in sorted(rng.choice(len(known), size, replace=False)))
    high = part.max_defects if rng.random() < 0.6 else int(rng.integers(1, part.max_defects + 1))
    low = 1 if rng.random() < 0.7 else int(rng.integers(1, high + 1))
    return _rules(chosen, low, high)


def random_request(configuration: Configuration, rng: np.random.Generator) -> dict:
    """Some label-free quantities of the configuration, in random order."""
    if rng.random() < 0.1:
        return {}
    names = list(DESCRIPTORS)
    rng.shuffle(names)
    found = describe(configuration, names[: int(rng.integers(1, 5))])
    return found


def example(part: Part, rng: np.random.Generator, anchor: float = 0.5) -> tuple[str, str]:
    """One (prompt, answer) pair of a part of the corpus."""
    host = get_host(part.host, part.supercell)
    rules = random_rules(part, rng)
    configuration = random_configuration(host, rules, rng)
    properties = random_request(configuration, rng)
    placement = "anchored" if rng.random() < anchor else "random"
    return training_pair(
        configuration, rules, properties, part.fmt, rng, keep_all=1.0, placement=placement
    )


def corpus(seed: int, full_share: float = 0.15, anchor: float = 0.5) -> Iterator[tuple[str, str]]:
    """Endless (prompt, answer) pairs, the same for the same seed.

    Parameters
    ----------
    seed : int
    full_share : float
        Share of examples in the `full` format.
    anchor : float
        Share of compact examples with a defect in the first cell, see `training_pair`.
    """
    rng = np.random.default_rng(seed)
    while True:
        parts = FULL_PARTS if rng.random() < full_share else COMPACT_PARTS
        yield example(_draw(parts, rng), rng, anchor)


def copying(seed: int) -> Iterator[tuple[str, str]]:
    """Endless pairs of the `full` format on the smallest cells, the same for the same seed.

    Four minutes of these first, and a model of three million parameters copies coordinates; mixed
    with everything else from the start it had not learnt that after fourteen.
    """
    rng = np.random.default_rng(seed)
    while True:
        yield example(_draw(COPYING_PARTS, rng), rng)


@lru_cache(maxsize=8)
def _cumulative(parts: tuple[Part, ...]) -> np.ndarray:
    return np.cumsum([p.share for p in parts]) / sum(p.share for p in parts)


def _draw(parts: tuple[Part, ...], rng: np.random.Generator) -> Part:
    return parts[int(np.searchsorted(_cumulative(parts), rng.random()))]
