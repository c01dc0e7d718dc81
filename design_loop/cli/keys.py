"""``design-loop keys``: who may use a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.output import Format, FormatOption, print_json, print_tables

app = typer.Typer(help="API keys of a server.", no_args_is_help=True)

FileOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE", envvar="DESIGN_LOOP_KEYS", help="The file that a server names as `keys`."
    ),
]
DEFAULT = Path("keys.json")


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    scope: Annotated[
        list[str],
        typer.Option(help="read, design, campaign or admin; again for several."),
    ],
    file: FileOption = DEFAULT,
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Requests per minute; by default the server's.")
    ] = None,
) -> None:
    """Make a key. It is shown once, on the standard output, and kept as a hash only."""
    from serve.keys import KeyFile

    text, key = KeyFile(file).create(name, scope, per_minute)
    typer.echo(text)
    scopes = ", ".join(key.scopes)
    typer.echo(f"key {key.id} of {name} ({scopes}) in {file}; it is not shown again", err=True)


@app.command(name="list")
def list_(file: FileOption = DEFAULT, fmt: FormatOption = Format.table) -> None:
    """List the keys; the keys themselves are nowhere."""
    from serve.keys import KeyFile

    keys = KeyFile(file).list()
    if fmt is Format.json:
        print_json(
            [
                {
                    "id": key.id,
                    "name": key.name,
                    "scopes": list(key.scopes),
                    "created": key.created,
                    "per_minute": key.per_minute,
                }
                for key in keys
            ]
        )
        return
    from rich.table import Table

    table = Table("id", "name", "scopes", "created", "per minute", box=None)
    for key in keys:
        rate = "" if key.per_minute is None else str(key.per_minute)
        table.add_row(key.id, key.name, ", ".join(key.scopes), key.created, rate)
    print_tables(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from the list.")],
    file: FileOption = DEFAULT,
) -> None:
    """Take a key out of service; running servers refuse it from the next request on."""
    from serve.keys import KeyFile

    gone = KeyFile(file).revoke(key)
    typer.echo(f"key {gone.id} of {gone.name} is revoked")
