"""The section that says where else a campaign is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from design_loop.config.base import Section
from design_loop.config.problems import Problem

#: What MLflow's client can write to; its plain folders are no longer supported by it.
SCHEMES = ("http://", "https://", "sqlite:///", "postgresql://", "mysql://", "databricks")


class TrackingConfig(Section):
    """A tracking server that follows the campaign; the ledger stays the record."""

    kind: Literal["none", "mlflow"] = Field(
        "none", description="mlflow: a run per campaign, and one per round inside it"
    )
    uri: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="server (http://HOST:PORT) or database (sqlite:////PATH/mlflow.db); by default "
        "what MLFLOW_TRACKING_URI says",
    )
    experiment: str = Field(
        "design-loop", min_length=1, max_length=256, description="experiment that the runs are in"
    )
    artifacts: bool = Field(
        True, description="also send report, candidates and campaign file at the end"
    )
    timeout_s: float = Field(
        10, gt=0, le=600, description="a server that takes longer to answer is left alone, s"
    )


def tracking_problems(tracking: TrackingConfig) -> Iterator[Problem]:
    """An address that MLflow could not write to, or one that nobody uses."""
    if tracking.uri is None:
        return
    if tracking.kind == "none":
        yield Problem(("tracking", "uri"), "is used by kind mlflow only; write kind: mlflow")
    elif not tracking.uri.startswith(SCHEMES):
        yield Problem(
            ("tracking", "uri"),
            f"{tracking.uri!r}: write http://HOST:PORT, or sqlite:////PATH/mlflow.db for a file",
        )
