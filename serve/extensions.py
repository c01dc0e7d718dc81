"""Further routes under the same address, from packages that this one does not know.

What stands above the models (campaigns, a dashboard) hands its routes in when it deploys; they get
the same keys, limits, error form, metrics and OpenAPI description as the ingress' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI


@dataclass(frozen=True)
class ScopeRule:
    """Which scope a request needs.

    Attributes
    ----------
    method : str
        ``POST``, ``DELETE``, ...
    prefix : str
        The path itself and everything below it.
    scope : str
        One of `serve.keys.SCOPES`.
    """

    method: str
    prefix: str
    scope: str

    def covers(self, method: str, path: str) -> bool:
        """Whether the rule speaks of a request."""
        inside = path == self.prefix or path.startswith(self.prefix.rstrip("/") + "/")
        return method == self.method and inside


class Extension(Protocol):
    """Routes of another package. Travels to the ingress' process, so it has to be picklable: a
    small dataclass of a module that is installed there, which opens files only when it is asked.
    """

    @property
    def scopes(self) -> Sequence[ScopeRule]:
        """Who may use its routes. Without a rule a GET needs ``read``, anything else ``admin``."""
        ...

    def add_routes(self, app: FastAPI) -> None:
        """Add routes, or mount an application; called once in every process of the ingress.

        Errors for the client are raised as `serve.errors.ApiError`.
        """
        ...


class Pages(Extension, Protocol):
    """An extension with pages for browsers.

    Below `pages` (a path such as ``/dashboard``) a reader may come in by a login. The extension
    answers ``login`` and ``logout`` there, with ``app.state.sessions`` (`serve.sessions.Sessions`,
    None where no keys are asked for), and serves ``static/`` to everybody.
    """

    @property
    def pages(self) -> str:
        """Where the pages are."""
        ...
