"""How often one key may ask: a token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimit:
    """Token buckets by name: a minute's requests at once, then as fast as they refill.

    Parameters
    ----------
    per_minute : int
        Requests per minute of a name that has no limit of its own.
    clock : callable
        Seconds; replaced in tests.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_for(self, name: str, per_minute: int | None = None) -> float:
        """Take a token: 0, or (nothing taken) the seconds until there is one."""
        rate = per_minute or self.per_minute
        now = self._clock()
        level, then = self._buckets.get(name, (float(rate), now))
        level = min(float(rate), level + (now - then) * rate / 60)
        if level < 1:
            self._buckets[name] = level, now
            return (1 - level) * 60 / rate
        self._buckets[name] = level - 1, now
        return 0.0
