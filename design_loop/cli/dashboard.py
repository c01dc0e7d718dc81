"""``design-loop dashboard``: the campaigns of a ledger in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from design_loop.cli.output import (
    WORKDIR,
    StoreOption,
    UsageError,
    WorkdirOption,
    stoppable,
    store_target,
)


def dashboard(
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 8080,
) -> None:
    """Show campaigns in a browser on this machine, while they run too, until Ctrl-C."""
    try:
        from design_loop.dashboard.alone import serve_alone
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "starlette", "uvicorn"):
            raise
        raise UsageError(
            "the dashboard needs FastAPI and uvicorn: install design-loop[dashboard]"
        ) from error

    def tell(where: str) -> None:
        typer.echo(f"campaigns of {store_target(workdir, store)} at {where} (Ctrl-C stops)")

    with stoppable(lambda: "campaigns are not touched by it."):
        serve_alone(store_target(workdir, store), port, tell)
