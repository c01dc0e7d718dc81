"""Logins of browsers: a key typed in once becomes a cookie that is not the key.

The cookie says whose it is and until when, under a code (HMAC-SHA-256) with a secret of this
process. It is let in to pages only, to read; a restart ends all sessions, revoking a key its own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from serve.keys import Key, KeyFile
from serve.rate import RateLimit

COOKIE = "design_loop_session"
LIFETIME_S = 12 * 3600
#: Keys cannot be guessed; this keeps those who try all the same from filling the log.
LOGINS_PER_MINUTE = 60
_NOBODY = "0" * 64


class Sessions:
    """Makes and reads the cookies of one process.

    Parameters
    ----------
    keys : KeyFile
    clock : callable
        Seconds since the epoch; replaced in tests.
    """

    def __init__(self, keys: KeyFile, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._clock = keys, clock
        self._secret = secrets.token_bytes(32)
        self._rate = RateLimit(LOGINS_PER_MINUTE)

    def wait(self) -> float:
        """Count a try to log in: 0, or the seconds until another may be made."""
        return self._rate.wait_for("login")

    def open(self, text: str) -> str | None:
        """The cookie of a key that may read; None for one that may not.

        Raises
        ------
        ConfigError
            The keys cannot be read.
        """
        key = self._keys.find(text.strip())
        if key is None or not key.may("read"):
            return None
        until = int(self._clock()) + LIFETIME_S
        return f"{key.id}.{until}.{self._code(key.id, until, key.sha256)}"

    def find(self, cookie: str) -> Key | None:
        """The key whose session a cookie is; None for one that is forged, over or revoked.

        Raises
        ------
        ConfigError
            The keys cannot be read.
        """
        parts = cookie.split(".")
        if len(parts) != 3 or not parts[1].isdecimal() or len(parts[1]) > 12:
            return None
        number, until, code = parts[0], int(parts[1]), parts[2]
        key = next((k for k in self._keys.list() if k.id == number), None)
        expected = self._code(number, until, key.sha256 if key else _NOBODY)
        # Also where there is no such key: how long it takes says nothing.
        same = hmac.compare_digest(expected.encode(), code.encode())
        return key if same and self._clock() < until else None

    def _code(self, number: str, until: int, digest: str) -> str:
        content = f"{number}.{until}.{digest}".encode()
        return hmac.new(self._secret, content, hashlib.sha256).hexdigest()
