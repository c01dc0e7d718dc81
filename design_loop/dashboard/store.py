"""The ledger behind the pages: opened when somebody looks, and again once there is one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from design_loop.ledger import LedgerError
from design_loop.ledger.database import Database
from design_loop.ledger.reader import LedgerReader
from design_loop.views.html import Markup

#: Pieces of pages that are kept: those of a few dozen campaigns that people look at.
KEPT = 256


class Store:
    """Reads a ledger for any number of requests.

    Parameters
    ----------
    target : str
        A file or a database URL; need not exist yet.
    frank : bool
        Whether errors may name files and hosts: to the owner of the machine, not over a network.
    """

    def __init__(self, target: str, *, frank: bool = False) -> None:
        self.target, self.frank = target, frank
        self._lock = threading.Lock()
        self._reader: LedgerReader | None = None
        self._pieces: OrderedDict[tuple[str, ...], Markup] = OrderedDict()

    def reader(self) -> LedgerReader:
        """The ledger.

        Raises
        ------
        LedgerError
            There is none yet, or it cannot be read.
        """
        with self._lock:
            if self._reader is None:
                self._reader = LedgerReader(Database(self.target, create=False))
            return self._reader

    def words(self, error: LedgerError) -> str:
        """What a page says of an error."""
        return str(error) if self.frank else "The ledger cannot be read; see the server's log."

    def piece(self, key: tuple[str, ...], make: Callable[[], Markup]) -> Markup:
        """Make a piece of a page once for each state of what it shows.

        Parameters
        ----------
        key : tuple of str
            Campaign, its `overviews.stamp`, and which piece.
        make : callable
            Makes it.
        """
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
                return self._pieces[key]
        made = make()
        with self._lock:
            self._pieces[key] = made
            while len(self._pieces) > KEPT:
                self._pieces.popitem(last=False)
        return made

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
