"""Campaigns' candidates by rank, put in order once for every state of the ledger."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from design_loop.ledger import overviews
from design_loop.ledger.reader import LedgerReader
from design_loop.summary import CampaignSummary, RankedCandidate, summarise_campaign
from serve.errors import ApiError

#: Campaigns whose ranking is kept.
KEPT = 8


@dataclass(frozen=True)
class Ranking:
    """A campaign's labelled candidates by rank, at one state of the ledger."""

    summary: CampaignSummary
    places: dict[str, int] = field(repr=False)

    def page(
        self, after: str | None, limit: int, *, hits: bool
    ) -> tuple[list[RankedCandidate], str | None]:
        """A page, and the key after which the next one begins; None at the end.

        A label never changes, so neither does what decides about the order of two candidates: pages
        after one another repeat and leave out none that was there, however many come in between.

        Parameters
        ----------
        after : str or None
            Key of the last candidate of the page before.
        limit : int
        hits : bool
            Only candidates that meet all targets.

        Raises
        ------
        ApiError
            422 where no labelled candidate has this key.
        """
        if after is not None and after not in self.places:
            text = "after: there is no labelled candidate of this key; begin without it"
            raise ApiError(422, "unknown_candidate", text)
        begin = 0 if after is None else self.places[after] + 1
        found: list[RankedCandidate] = []
        for candidate in self.summary.candidates[begin:]:
            if hits and not candidate.meets:
                break  # hits rank first
            if len(found) == limit:
                return found, found[-1].key
            found.append(candidate)
        return found, None

    def total(self, *, hits: bool) -> int:
        """How many there are in all pages."""
        return self.summary.hits if hits else len(self.summary.candidates)


class Rankings:
    """Rankings of the campaigns that are being read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, Ranking]] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    def __call__(self, ledger: LedgerReader, campaign: str) -> Ranking:
        """The ranking as the ledger stands; made by one request while others wait for it."""
        with self._lock:
            making = self._making.setdefault(campaign, threading.Lock())
        with making:
            # The stamp first: what is written in between is in the ranking, and makes the next
            # request rank once more.
            with ledger.reading() as connection:
                stamp = overviews.stamp(connection, campaign)
            with self._lock:
                known, ranking = self._kept.get(campaign, ("", None))
                if ranking is not None and known == stamp:
                    self._kept.move_to_end(campaign)
                    return ranking
            summary = summarise_campaign(ledger, campaign)
            places = {c.key: place for place, c in enumerate(summary.candidates)}
            ranking = Ranking(summary, places)
            with self._lock:
                self._kept[campaign] = (stamp, ranking)
                self._kept.move_to_end(campaign)
                while len(self._kept) > KEPT:
                    gone, _ = self._kept.popitem(last=False)
                    self._making.pop(gone, None)
            return ranking
