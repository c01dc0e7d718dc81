"""What the settings of a round have yielded, from the ledger."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.targets import Target, meets_all, probability_of_meeting
from design_loop.ledger import Ledger, Source

if TYPE_CHECKING:
    from design_loop.ledger import CheckedSample

#: A property to minimise or maximise counts as met by the best such share of the dataset.
_EXTREME = 0.05
#: Samples' worth of the common yield that every part of a range is given beforehand.
_PRIOR = 20.0


@dataclass(frozen=True)
class ArmYield:
    """What one setting gave in one round.

    Attributes
    ----------
    round : int
    settings : mapping
        `Arm.to_dict` as recorded.
    samples : int
    worth : float
        Expected number of new candidates that meet all targets, shared where several settings
        found the same crystal.
    """

    round: int
    settings: Mapping[str, Any]
    samples: int
    worth: float

    @property
    def rate(self) -> float:
        """Worth per sample; 0 without samples."""
        return self.worth / self.samples if self.samples else 0.0


class RoundYields:
    """Counts what a finished round was worth.

    A new candidate is worth the probability that it meets all targets: 1 or 0 where the oracle
    has labelled it, else from the surrogate's mean and spread in that round. An answer that is
    broken, known, or not new is worth nothing. A crystal that several samples of the round gave
    is shared among them.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
    targets : sequence of Target
    dataset : sequence of mappings
        Properties of the dataset's rows; they say what an extreme is.
    before : int
        Only labels of earlier rounds count, so that a round that is run again knows no more than
        it did.
    """

    def __init__(
        self,
        ledger: Ledger,
        campaign: str,
        targets: Sequence[Target],
        dataset: Sequence[Mapping[str, float]],
        before: int,
    ) -> None:
        self.ledger, self.campaign = ledger, campaign
        self.targets = [closed_by(target, dataset) for target in targets]
        self._labels = {
            label.candidate: label.properties
            for label in ledger.labels(campaign, Source.ORACLE)
            if label.round < before
        }

    def worths(self, number: int) -> dict[str, float]:
        """New candidate of a round -> what it is worth, 0 to 1."""
        found: dict[str, float] = {}
        new = {c.key for c in self.ledger.candidates(self.campaign, number)}
        for _, p in self.ledger.predictions(self.campaign, number):
            if p.candidate in new and all(t.property in p.mean for t in self.targets):
                found[p.candidate] = probability_of_meeting(self.targets, p.mean, p.std)
        for key in list(found):
            label = self._labels.get(key)
            if label is not None and all(t.property in label for t in self.targets):
                found[key] = float(meets_all(self.targets, label))
        return found

    def credits(self, number: int) -> list[tuple[CheckedSample, float]]:
        """Every sample of a round with its part of what its crystal is worth."""
        worth = self.worths(number)
        samples = self.ledger.samples(self.campaign, number)
        times = Counter(s.candidate for s in samples if s.candidate in worth)
        return [
            (s, worth[s.candidate] / times[s.candidate] if s.candidate in worth else 0.0)
            for s in samples
        ]

    def arms(self, number: int, credits: Sequence[tuple[CheckedSample, float]]) -> list[ArmYield]:
        """Yield of every setting of a round; none where the round recorded no settings."""
        [info] = [
            s.info for s in self.ledger.steps(self.campaign, number) if s.name == "generate"
        ] or [{}]
        samples: Counter[int] = Counter()
        worth: defaultdict[int, float] = defaultdict(float)
        for found, credit in credits:
            if found.sample.arm is not None:
                samples[found.sample.arm] += 1
                worth[found.sample.arm] += credit
        return [
            ArmYield(number, arm, samples[arm["index"]], worth[arm["index"]])
            for arm in info.get("arms", ())
        ]


def part_of(target: Target, value: float, parts: int) -> int:
    """Part of a closed target that a value lies in; the outer ones take what is outside."""
    low, high = target.bounds()
    place = (value - low) / (high - low) if high > low else 0.0
    return min(max(math.floor(place * parts), 0), parts - 1)


def part_shares(
    credits: Sequence[tuple[CheckedSample, float]],
    targets: Sequence[Target],
    parts: int,
    explore: float,
    reach: float = 0.0,
) -> dict[str, tuple[float, ...]]:
    """How often each part of each closed target should be asked for.

    Shares are proportional to the mean yield of the samples that asked for a part, drawn towards
    the common mean by 20 samples' worth of it, with a share `explore` spread evenly.

    Parameters
    ----------
    credits : sequence of (CheckedSample, float)
        Samples with what they were worth.
    targets : sequence of Target
    parts : int
    explore : float
    reach : float
        Values asked for lie outside a target by this share of its width at most; samples that
        asked for others, to lead the model near, belong to no part.

    Returns
    -------
    dict
        Property -> shares that add up to 1; properties without a closed range are left out, as
        are all where nothing has yielded anything yet.
    """
    total = sum(credit for _, credit in credits)
    if parts < 2 or total <= 0:
        return {}
    shares = {}
    for target in targets:
        if not all(map(math.isfinite, target.bounds())):
            continue
        low, high = target.bounds()
        slack = reach * (high - low) / 2 + 1e-9
        counts, worth = np.zeros(parts), np.zeros(parts)
        for found, credit in credits:
            value = found.sample.asked.get(target.property)
            if isinstance(value, (int, float)) and low - slack <= value <= high + slack:
                part = part_of(target, float(value), parts)
                counts[part] += 1
                worth[part] += credit
        if not counts.sum() or not worth.sum():
            continue
        mean = worth.sum() / counts.sum()
        rate = (worth + _PRIOR * mean) / (counts + _PRIOR)
        row = explore / parts + (1 - explore) * rate / rate.sum()
        shares[target.property] = tuple(float(x) for x in row / row.sum())
    return shares


def closed_by(target: Target, dataset: Sequence[Mapping[str, float]]) -> Target:
    """The target, or for an extreme the bound that the best twentieth of the dataset meets."""
    if target.goal is None:
        return target
    values = [row[target.property] for row in dataset if target.property in row]
    if not values:
        return target
    if target.goal == "minimize":
        return Target(property=target.property, max=float(np.quantile(values, _EXTREME)))
    return Target(property=target.property, min=float(np.quantile(values, 1 - _EXTREME)))
