"""``design-loop serve``: the language model with its adapters, and the surrogate, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML; by default the small base model is served."),
    ] = None,
) -> None:
    """Serve base model, adapters and surrogate on this machine until Ctrl-C."""
    from serve.app import run_forever
    from serve.config import ServeConfig, load_config

    if config is None:
        from training.bundled import SMALL, resolve_base

        settings = ServeConfig(base_model=resolve_base(SMALL))
    else:
        settings = load_config(config)
    run_forever(settings, lambda text: typer.echo(text, err=True))
