"""``design-loop data``: check, label, describe."""

from __future__ import annotations

from typing import Annotated

import typer

from design_loop.cli.output import Format, FormatOption, print_json, print_tables

app = typer.Typer(help="Datasets in the 2DMD layout.", no_args_is_help=True)

PathArgument = Annotated[
    str, typer.Argument(metavar="PATH", help="Dataset folder, or the name of a shipped one.")
]
HostOption = Annotated[
    str | None,
    typer.Option(help="Which host to read from a folder of several, such as MoS2-8x8x1."),
]


@app.command()
def check(path: PathArgument, host: HostOption = None, fmt: FormatOption = Format.table) -> None:
    """Look for everything that is wrong with a dataset; exit code 1 if there are errors."""
    from defects.datasets import check_dataset

    problems = check_dataset(path, host)
    errors = sum(p.severity == "error" for p in problems)
    if fmt is Format.json:
        from dataclasses import asdict

        print_json({"path": path, "sound": not errors, "problems": [asdict(p) for p in problems]})
    else:
        for problem in problems:
            typer.echo(str(problem))
        warnings = len(problems) - errors
        typer.echo(f"{path}: {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(1)


@app.command()
def describe(path: PathArgument, host: HostOption = None, fmt: FormatOption = Format.table) -> None:
    """Say what a dataset holds, in numbers."""
    from defects.datasets import describe as describe_dataset
    from defects.datasets import resolve_dataset

    facts = describe_dataset(resolve_dataset(path, host))
    if fmt is Format.json:
        print_json(facts)
        return
    from design_loop.tables import dataset_tables

    print_tables(*dataset_tables(facts))
