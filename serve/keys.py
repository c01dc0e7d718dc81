"""API keys: made once, shown once, kept as hashes in a small file.

A key is ``dl_<id>_<secret>``: 8 hexadecimal digits to find its record, 32 random bytes to prove it.
The file holds the SHA-256 of the whole. A slow password hash would add nothing: those guard what
people choose, and nobody finds 256 random bits by trying, however fast; but it would cost every
request 100 ms.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from defects.errors import ConfigError

SCOPES = ("read", "design", "campaign", "admin")
"""read: models, documentation, metrics, campaigns and what they found; design: sample, design,
predict; campaign: start and steer campaigns; admin: everything."""

_KEY = re.compile(r"dl_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[\w.@ -]{1,64}")
_NOBODY = hashlib.sha256(b"no such key").hexdigest()


@dataclass(frozen=True)
class Key:
    """One record of the file.

    Attributes
    ----------
    id : str
        Names the key in lists, logs and metrics; no secret.
    name : str
        Whose it is.
    scopes : tuple of str
        Of `SCOPES`.
    sha256 : str
        Of the whole key.
    created : str
        Date and time, UTC.
    per_minute : int or None
        Requests per minute, instead of the server's limit.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    sha256: str
    created: str
    per_minute: int | None = None

    def may(self, scope: str) -> bool:
        """Whether the key has a scope."""
        return scope in self.scopes or "admin" in self.scopes


class KeyFile:
    """The keys in a file; what another process changes is seen at the next request.

    Parameters
    ----------
    path : Path
        Need not exist: there are no keys then.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    def list(self) -> list[Key]:
        """All keys, oldest first.

        Raises
        ------
        ConfigError
            The file is damaged or may not be read.
        """
        return list(self._read().values())

    def create(
        self, name: str, scopes: Iterable[str], per_minute: int | None = None
    ) -> tuple[str, Key]:
        """Make a key.

        Returns
        -------
        (str, Key)
            The key itself, which is kept nowhere, and its record.

        Raises
        ------
        ConfigError
            An unknown scope, a name with odd characters, a file that cannot be written.
        """
        chosen = tuple(dict.fromkeys(scopes))
        unknown = [scope for scope in chosen if scope not in SCOPES]
        if unknown or not chosen:
            raise ConfigError(
                f"scope {', '.join(unknown) or 'missing'}: the scopes are {', '.join(SCOPES)}"
            )
        if not _NAME.fullmatch(name):
            raise ConfigError(
                "the name of a key is 1 to 64 letters, digits, spaces, '.', '_', '-', '@'"
            )
        keys = dict(self._read())
        number = secrets.token_hex(4)
        while number in keys:
            number = secrets.token_hex(4)
        text = f"dl_{number}_{secrets.token_urlsafe(32)}"
        made = datetime.now(UTC).isoformat(timespec="seconds")
        key = Key(number, name, chosen, _digest(text), made, per_minute)
        self._write({**keys, number: key})
        return text, key

    def revoke(self, number: str) -> Key:
        """Take a key out of service by its id (or the key itself, of which only the id is used).

        Raises
        ------
        ConfigError
            There is no such key.
        """
        match = _KEY.fullmatch(number)
        keys = dict(self._read())
        key = keys.pop(match.group(1) if match else number, None)
        if key is None:
            raise ConfigError(f"no key {number[:20]!r} in {self.path}; `design-loop keys list`")
        self._write(keys)
        return key

    def find(self, text: str) -> Key | None:
        """The record of a key, None for one that is not (or no longer) there.

        Compared in constant time, also where the id is unknown.
        """
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        key = self._read().get(match.group(1))
        same = hmac.compare_digest(_digest(text), key.sha256 if key else _NOBODY)
        return key if same else None

    def _read(self) -> dict[str, Key]:
        with self._lock:
            try:
                status = self.path.stat()
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                if stamp != self._stamp:
                    content = json.loads(self.path.read_text(encoding="utf-8"))
                    self._keys = {
                        row["id"]: Key(**{**row, "scopes": tuple(row["scopes"])})
                        for row in content["keys"]
                    }
                    self._stamp = stamp
            except FileNotFoundError:
                self._keys, self._stamp = {}, None
            except OSError as error:
                raise ConfigError(
                    f"cannot read the keys in {self.path}: {error.strerror}"
                ) from error
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"the keys in {self.path} are damaged: {error!r}") from error
            return self._keys

    def _write(self, keys: dict[str, Key]) -> None:
        """Replace the file as a whole, readable by its owner only."""
        text = json.dumps({"keys": [asdict(key) for key in keys.values()]}, indent=2)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # mkstemp makes it 0600 from the first byte on.
            number, partial = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(partial).replace(self.path)
        except OSError as error:
            raise ConfigError(f"cannot write the keys to {self.path}: {error.strerror}") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
