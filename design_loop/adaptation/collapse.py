"""When the answers of a round have lost their diversity, and how it is answered.

A model that is fine-tuned on what it found itself may come to repeat it (model collapse; Shumailov
et al. 2024). Seen against the first rounds: fewer different crystals, and among them fewer
compositions or smaller distances; more repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from design_loop.adaptation.diversity import Diversity

if TYPE_CHECKING:
    from design_loop.config.adaptation import CollapseConfig
    from design_loop.ledger import Ledger

#: Fewer valid answers say nothing.
_FEWEST = 8


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a round.

    Attributes
    ----------
    findings : tuple of str
        What has collapsed, in words; empty when all is well.
    uniform : bool
        The answers are like each other, not only like those of earlier rounds: the model itself has
        narrowed, and not only what is left to be found.
    """

    findings: tuple[str, ...]
    uniform: bool

    @property
    def collapsed(self) -> bool:
        """Whether there is something to answer."""
        return bool(self.findings)


def judge(
    now: Diversity, first: Sequence[Mapping[str, float]], settings: CollapseConfig
) -> Verdict:
    """Compare a round with the first ones.

    Parameters
    ----------
    now : Diversity
    first : sequence of mappings
        `Diversity.to_dict` of the first ``baseline_rounds`` rounds, as far as they are before this
        one; with fewer than that only the floor counts.
    settings : CollapseConfig
    """
    if now.valid < _FEWEST:
        return Verdict((), False)
    alike: list[str] = []
    known = [row for row in first if row["valid"] >= _FEWEST]
    compare = len(first) >= settings.baseline_rounds and known

    def before(name: str) -> float:
        return sum(row[name] for row in known) / len(known)

    if now.unique < settings.floor:
        alike.append(f"only {now.unique:.0%} of the valid answers are different crystals")
    elif compare and now.unique < settings.fraction * before("unique"):
        alike.append(
            f"{now.unique:.0%} of the valid answers are different crystals, "
            f"{before('unique'):.0%} in the first rounds"
        )
    repeats: list[str] = []
    # Few compositions with as many different crystals as ever are what a sharp target asks for:
    # a model that has found the right one has converged, not collapsed.
    fewer = compare and now.unique < (1 + settings.fraction) / 2 * before("unique")
    if fewer:
        if now.compositions < settings.fraction * before("compositions"):
            alike.append(
                f"{now.compositions:.1f} compositions in effect, "
                f"{before('compositions'):.1f} in the first rounds"
            )
        if now.distance < settings.fraction * before("distance"):
            alike.append(
                f"mean distance {now.distance:.2f}, {before('distance'):.2f} in the first rounds"
            )
    if compare and 1 - now.repeated < settings.fraction * (1 - before("repeated")):
        repeats.append(f"{now.repeated:.0%} repeat what earlier rounds proposed")
    return Verdict((*alike, *repeats), bool(alike))


def next_heat(heat: int, collapsed: bool, step: float) -> int:
    """Steps of heat after a round: one up, or one back; no more than lead to the upper bounds."""
    most = max(1, round(1 / step))
    return min(heat + 1, most) if collapsed else max(heat - 1, 0)


def recorded(ledger: Ledger, campaign: str, number: int) -> Mapping[str, Any]:
    """What the check of a round recorded of its diversity; empty where it recorded none."""
    for step in ledger.steps(campaign, number):
        if step.name == "check":
            return step.info.get("diversity") or {}
    return {}


def heat_before(ledger: Ledger, campaign: str, number: int) -> int:
    """Steps of heat that a round is asked with."""
    return int(recorded(ledger, campaign, number - 1).get("heat", 0)) if number > 1 else 0
