"""The events of a campaign. The driver calls them; it knows nothing of how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.summary import CampaignSummary, RoundSummary


class Progress(Protocol):
    """Receives the events of one campaign, in order, between `__enter__` and `__exit__`.

    A resumed campaign first tells its finished rounds (`round_finished`) and steps
    (`step_finished`) again, so that the display is complete.
    """

    @property
    def campaign(self) -> str:
        """Id of the campaign that began; empty before."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def campaign_started(
        self, campaign: str, config: CampaignConfig, calls: int | None = None
    ) -> None:
        """The campaign with this id begins or goes on.

        `calls` are the oracle calls that all rounds together may make: others than `config` says
        where the budget was changed on the way.
        """

    def campaign_extended(self, config: CampaignConfig, calls: int) -> None:
        """Rounds or budget were added while it runs.

        `config` is what counts from now on, `calls` are those of all rounds together: a changed
        budget does not count for the rounds before it.
        """

    def step_started(self, number: int, step: str, detail: str = "") -> None:
        """A step of round `number` begins; `detail` says with what, in a few words."""

    def step_advanced(self, done: int, total: int | None = None) -> None:
        """So much of the current step is done; `total` is unknown when None."""

    def step_finished(
        self, number: int, step: str, seconds: float, info: Mapping[str, Any]
    ) -> None:
        """A step is done. Of `info` the numbers and words are shown, ``drops`` as the funnel."""

    def message(self, level: str, text: str) -> None:
        """Something worth saying; `level` is info, warning or error."""

    def round_finished(self, summary: RoundSummary) -> None:
        """A round is done."""

    def campaign_finished(self, summary: CampaignSummary) -> None:
        """The campaign ended, by its targets, its budget or an error."""


class SilentProgress:
    """Shows nothing; for callers that want results only."""

    def __init__(self) -> None:
        self.campaign = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def campaign_started(
        self, campaign: str, config: CampaignConfig, calls: int | None = None
    ) -> None:
        self.campaign = campaign

    def campaign_extended(self, config: CampaignConfig, calls: int) -> None: ...

    def step_started(self, number: int, step: str, detail: str = "") -> None: ...

    def step_advanced(self, done: int, total: int | None = None) -> None: ...

    def step_finished(
        self, number: int, step: str, seconds: float, info: Mapping[str, Any]
    ) -> None: ...

    def message(self, level: str, text: str) -> None: ...

    def round_finished(self, summary: RoundSummary) -> None: ...

    def campaign_finished(self, summary: CampaignSummary) -> None: ...
