"""What people are told of settings and diversity, round by round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from design_loop.adaptation.collapse import recorded
from design_loop.adaptation.yields import ArmYield, RoundYields
from design_loop.ledger import Ledger
from design_loop.tables import plain_table

if TYPE_CHECKING:
    from design_loop.summary import CampaignSummary

#: Rounds shown; the latest.
_LATEST = 6


def arm_yields(ledger: Ledger, summary: CampaignSummary) -> list[ArmYield]:
    """Yield of every setting of every finished round, as it stands by today's labels."""
    done = [r.number for r in summary.rounds if r.done and r.number > 0]
    yields = RoundYields(
        ledger, summary.campaign.id, summary.targets, [], before=max(done, default=0) + 1
    )
    return [arm for n in done for arm in yields.arms(n, yields.credits(n))]


def gain(arms: list[ArmYield]) -> float | None:
    """Yield per sample of the tried settings over that of the configured one, same rounds.

    None where nothing was tried beside it, or the configured one has yielded nothing.
    """
    rounds = {a.round for a in arms if a.settings["index"]}
    tried = [a for a in arms if a.settings["index"]]
    same = [a for a in arms if not a.settings["index"] and a.round in rounds]
    samples, reference = sum(a.samples for a in tried), sum(a.samples for a in same)
    worth, of_reference = sum(a.worth for a in tried), sum(a.worth for a in same)
    if not samples or not reference or not of_reference:
        return None
    return (worth / samples) / (of_reference / reference)


def settings_tables(ledger: Ledger, summary: CampaignSummary) -> list[Table]:
    """Settings with what they gave, and diversity; empty where nothing was recorded."""
    tables = []
    arms = arm_yields(ledger, summary)
    if arms:
        more = gain(arms)
        told = "" if more is None else f": the tried ones give {more:.2f} times the configured one"
        table = plain_table("Settings" + told)
        for name in ("round", "setting", "temperature", "top_p", "jitter", "samples", "yield"):
            table.add_column(name, justify="right")
        first = max(a.round for a in arms) - _LATEST
        for arm in (a for a in arms if a.round > first):
            index, settings = arm.settings["index"], arm.settings
            table.add_row(
                str(arm.round),
                "configured" if index == 0 else str(index),
                f"{settings['temperature']:.2f}",
                f"{settings['top_p']:.2f}",
                f"{settings['target_jitter']:.2f}",
                str(arm.samples),
                f"{arm.rate:.3f}",
            )
        tables.append(table)
    measured = [
        (r.number, row)
        for r in summary.rounds
        if (row := recorded(ledger, summary.campaign.id, r.number))
    ][-_LATEST:]
    if measured:
        table = plain_table("Diversity of the valid answers")
        names = ("round", "valid", "different", "compositions", "distance", "repeats", "collapsed")
        for name in names:
            table.add_column(name, justify="left" if name == "collapsed" else "right")
        for number, row in measured:
            table.add_row(
                str(number),
                f"{row['valid']:.0f}",
                f"{row['unique']:.0%}",
                f"{row['compositions']:.1f}",
                f"{row['distance']:.2f}",
                f"{row['repeated']:.0%}",
                "; ".join(row.get("collapsed", ())),
            )
        tables.append(table)
    return tables
