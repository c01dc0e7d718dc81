"""``design-loop surrogate``: train, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.output import Format, FormatOption, print_json, print_tables

app = typer.Typer(help="Fast models of properties with their spread.", no_args_is_help=True)


@app.command()
def train(
    data: Annotated[
        str, typer.Option(metavar="PATH", help="Dataset folder, or the name of a shipped one.")
    ],
    prop: Annotated[
        list[str], typer.Option("--property", metavar="P", help="Property to fit; repeatable.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the finished surrogate.")],
    model: Annotated[
        str, typer.Option(help="auto, trees or pairs; auto takes the best on held-out.")
    ] = "auto",
    iterations: Annotated[int, typer.Option(min=1, help="Trees per fold.")] = 300,
    budget: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=1, help="About so long at most.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all by default.")] = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Fit a surrogate to a dataset and leave a finished folder."""
    from training.surrogate import train_from_dataset

    manifest = train_from_dataset(
        data,
        prop,
        out,
        seed=seed,
        model=model,
        iterations=iterations,
        budget_s=budget,
        threads=threads,
    )
    if fmt is Format.json:
        print_json(manifest)
        return
    from design_loop.tables import metrics_table

    print_tables(metrics_table(manifest))
    typer.echo(f"surrogate {manifest['version']} in {out}")


@app.command()
def predict(
    model: Annotated[Path, typer.Option(metavar="DIR", help="Finished surrogate folder.")],
    structures: Annotated[
        Path,
        typer.Option(metavar="PATH", help="CIF file, folder or tar.gz of them, or 2DMD dataset."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE.csv", help="Written: _id, and P, P_std per property.")
    ],
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Predict the properties of structures, with their spread."""
    from defects.surrogates import predict_structures

    n = predict_structures(model, structures, out, threads)
    typer.echo(f"{n} structures in {out}")
