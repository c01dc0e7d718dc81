"""Which candidates the oracle sees, as a campaign file says it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from design_loop.config.base import Section
from design_loop.config.problems import Problem


class SelectionConfig(Section):
    """Which candidates the oracle sees."""

    strategy: Literal["quantile", "probability", "ehvi"] = Field(
        "quantile",
        description="order: by surrogate error (the paper) and among what it keeps by the "
        "probability of meeting all targets, by that probability alone, or by expected "
        "(hypervolume) improvement of goals and values",
    )
    quantile: float = Field(
        0.25, gt=0, le=1, description="share kept by that order; the paper's quartile"
    )
    budget: int = Field(12, ge=1, le=1_000_000, description="oracle calls per round")
    diversity: float = Field(
        0.3, ge=0, le=1, description="0: by that order alone, 1: as different as possible"
    )
    exploration: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the budget for what the surrogate is least sure of",
    )
    out_of_domain: Literal["ignore", "avoid", "explore"] = Field(
        "ignore",
        description="what lies outside of the surrogate's labels: as any other, last of all, or "
        "only by exploration and first there",
    )
    reconsider: bool = Field(
        True,
        description="candidates of earlier rounds that no call was spent on stand for selection "
        "again, with the present surrogate's prediction: the best, about as many as are new",
    )
    max_std: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="property -> largest spread of the surrogate to trust, in its unit; beyond it "
        "for exploration only",
    )


def selection_problems(sections: Mapping[str, Any]) -> Iterator[Problem]:
    """What of the selection cannot be meant together with the rest."""
    selection, targets = sections.get("selection"), sections.get("targets")
    if selection is None:
        return
    if (
        selection.strategy == "ehvi"
        and targets
        and not any(t.goal is not None or t.value is not None for t in targets)
    ):
        # What meets all ranges cannot be improved upon: after the first hit every expected
        # improvement is zero, and before it the order is that of the probability.
        yield Problem(
            ("selection", "strategy"),
            "ehvi improves goals and values; these targets are ranges and bounds, within which "
            "nothing is left to improve; write probability",
        )
    share = round(selection.exploration * selection.budget)
    if selection.exploration > 0 and share == 0:
        enough = math.ceil(1 / selection.exploration)
        yield Problem(
            ("selection", "exploration"),
            f"{selection.exploration:g} of {selection.budget} calls is none; write 0, or budget: "
            f"{enough}",
        )
    if selection.out_of_domain == "explore" and selection.exploration == 0:
        yield Problem(
            ("selection", "out_of_domain"),
            "explore takes from the exploration's share, which is 0; write exploration: 0.2, or "
            "out_of_domain: avoid",
        )
