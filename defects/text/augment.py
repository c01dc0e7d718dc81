"""Training examples from labelled configurations, a new face of each at every epoch.

A configuration's properties do not change under the host's symmetry group, so that a sample may
show any member of its class; the `full` format is written in a random frame; and the request names
a random subset of the known properties, so that any subset can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from defects.configuration import Configuration
from defects.properties import Property
from defects.rules import Rules
from defects.text.formats import build_answer, build_prompt
from defects.text.frame import Frame, random_frame
from defects.text.request import Request

#: Which member of a configuration's class a sample shows: always the same one; a random one with
#: one of its defects in the first cell; or a random one.
Placement = Literal["canonical", "anchored", "random"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)


def random_member(configuration: Configuration, rng: np.random.Generator) -> Configuration:
    """The image under a random operation of the host's group, translations included."""
    group = configuration.host.symmetry
    return configuration.transform(group[int(rng.integers(len(group)))])


def anchored(configuration: Configuration, rng: np.random.Generator) -> Configuration:
    """The translate that brings a randomly chosen defect into cell (0, 0).

    Properties depend on where defects lie to each other, not on where they lie in the cell. With
    one defect in the first cell the indices of the others are their offsets from it, which spares
    a small model the modular subtraction.
    """
    host = configuration.host
    anchor = configuration.defects[int(rng.integers(configuration.n_defects))].site
    shape = np.array(host.supercell)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    changes = {}
    for defect in configuration.defects:
        cell = (host.cell_index[defect.site] - host.cell_index[anchor]) % shape
        atom = int(host.sublattice[defect.site])
        changes[atom * host.n_cells + int(cell @ strides)] = defect.species
    return Configuration.from_changes(host, changes)


def random_subset(
    names: Sequence[str], rng: np.random.Generator, keep_all: float = 0.5
) -> list[str]:
    """All names with probability `keep_all`, else a random non-empty subset, in their order."""
    if len(names) <= 1 or rng.random() < keep_all:
        return list(names)
    size = int(rng.integers(1, len(names)))
    chosen = set(rng.choice(len(names), size=size, replace=False).tolist())
    return [n for i, n in enumerate(names) if i in chosen]


def training_pair(
    configuration: Configuration,
    rules: Rules,
    properties: Mapping[str, float | int | str],
    fmt: str,
    rng: np.random.Generator,
    *,
    keep_all: float = 0.5,
    placement: Placement = "random",
    own: Mapping[str, Property] | None = None,
) -> tuple[str, str]:
    """One (prompt, answer) pair with every augmentation applied.

    Parameters
    ----------
    configuration : Configuration
    rules : Rules
        Rules that the request states; the configuration obeys them.
    properties : mapping
        Known properties of the configuration; a random subset is asked for.
    fmt : {"compact", "full"}
    rng : numpy Generator
    keep_all : float
        Probability that every property is asked for.
    placement : {"random", "anchored", "canonical"}
        Which member of its class is shown.
    own : mapping, optional
        A user's own properties by name: their units and decimals.
    """
    shown = _placed(configuration, rules, placement, rng)
    names = random_subset(list(properties), rng, keep_all)
    frame = random_frame(configuration.host, rng) if fmt == "full" else Frame()
    request = Request(
        configuration.host, rules, {n: properties[n] for n in names}, frame, own or {}
    )
    return build_prompt(request, fmt), build_answer(shown, request, fmt)


def canonical_member(configuration: Configuration, rules: Rules) -> Configuration:
    """Always the same member of a class, one that keeps the rules where one does."""
    ours = rules.on(configuration.host)
    shown = configuration.canonical()
    return (ours.image(shown) or configuration) if ours.site_specific else shown


def _placed(
    configuration: Configuration, rules: Rules, placement: Placement, rng: np.random.Generator
) -> Configuration:
    if placement == "canonical":
        return canonical_member(configuration, rules)
    ours = rules.on(configuration.host)
    if ours.site_specific:
        # The host's group carries defects out of the places that the rules speak of.
        return ours.image(configuration, rng) or configuration
    shown = random_member(configuration, rng)
    return anchored(shown, rng) if placement == "anchored" and shown.n_defects else shown
