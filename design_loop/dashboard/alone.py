"""The dashboard alone, on this machine: no Ray, no models."""

from __future__ import annotations

import socket
from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import RedirectResponse

from defects.errors import DesignLoopError
from design_loop.dashboard.app import build_dashboard, to_dashboard
from design_loop.dashboard.frame import BASE
from design_loop.dashboard.store import Store

HOST = "127.0.0.1"


class DashboardError(DesignLoopError):
    """The dashboard cannot be served."""


def build_alone(store: Store) -> FastAPI:
    """The application: the pages at their usual place, and the way to them."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    # A page of another name that resolves to this machine is turned away.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.get("/")
    def root() -> RedirectResponse:
        return to_dashboard()

    app.mount(BASE, build_dashboard(store))
    return app


def serve_alone(target: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve the pages of a ledger on the loopback address until Ctrl-C.

    Parameters
    ----------
    target : str
        Ledger: a file or a database URL; pages say so while there is none.
    port : int
        0 takes a free one.
    tell : callable
        Told the address when it answers.

    Raises
    ------
    DashboardError
        When the port is taken.
    """
    import uvicorn

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise DashboardError(
            f"port {port} cannot be used ({error.strerror}); name another with --port, or 0"
        ) from error
    store = Store(target, frank=True)
    config = uvicorn.Config(build_alone(store), log_level="warning", access_log=False)
    tell(f"http://{HOST}:{listener.getsockname()[1]}{BASE}/")
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        store.close()
        listener.close()
