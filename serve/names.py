"""Names of the Ray Serve applications; each holds one deployment.

A Ray cluster has one Serve, and an application that is deployed under a name that is taken replaces
what runs under it. So every campaign has names, and a route, of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from defects.errors import ConfigError

LLM_APP = "design-loop-llm"
SURROGATE_APP = "design-loop-surrogate"
API_APP = "design-loop-api"
DEPLOYMENT = "main"

TITLES = {
    LLM_APP: "the language model",
    SURROGATE_APP: "the surrogate",
    API_APP: "the HTTP server",
}
"""For messages."""

_OWNER = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class AppNames:
    """Names of one service's applications in the Serve of a cluster.

    Attributes
    ----------
    owner : str or None
        Whose they are, such as ``campaign-<id>``; None for the server that people start
        (`design-loop serve`), of which a cluster has one.
    """

    owner: str | None = None

    def __post_init__(self) -> None:
        if self.owner is not None and not _OWNER.fullmatch(self.owner):
            raise ConfigError(
                f"{self.owner[:80]!r} cannot name a service: use lower-case letters, digits, '.', "
                "'_' and '-'"
            )

    @property
    def llm(self) -> str:
        return self._of(LLM_APP)

    @property
    def surrogate(self) -> str:
        return self._of(SURROGATE_APP)

    @property
    def api(self) -> str:
        return self._of(API_APP)

    @property
    def all(self) -> tuple[str, str, str]:
        """In the order in which they are taken down."""
        return self.api, self.surrogate, self.llm

    @property
    def route(self) -> str:
        """Prefix of the HTTP routes, ``/`` for none."""
        return "/" if self.owner is None else f"/{self.owner}"

    def _of(self, name: str) -> str:
        return name if self.owner is None else f"{name}-{self.owner}"


def title_of(name: str) -> str:
    """What an application is, for messages."""
    return next((title for known, title in TITLES.items() if name.startswith(known)), name)
