"""``design-loop surrogate``: train, predict, compare, tune."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.output import Format, FormatOption, print_json, print_tables, stoppable

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
        str, typer.Option(help="A kind of docs/surrogates.md; auto takes the best on held-out.")
    ] = "auto",
    iterations: Annotated[int, typer.Option(min=1, help="Trees per fold.")] = 300,
    folds: Annotated[
        int, typer.Option(min=2, help="Models that each lack one part of the labels.")
    ] = 10,
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
        folds=folds,
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
        Path, typer.Option(metavar="FILE.csv", help="Written: _id, P and P_std per property, ood.")
    ],
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Predict the properties of structures, with their spread."""
    from defects.surrogates import predict_structures

    n = predict_structures(model, structures, out, threads)
    typer.echo(f"{n} structures in {out}")


@app.command()
def formulas(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="Finished surrogate folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Written: each against the distance.")
    ] = None,
) -> None:
    """Print the closed formulas of a surrogate of kind formula."""
    from defects.surrogates.formula_plot import formula_models, formulas_svg, formulas_text

    found = formula_models(model)
    typer.echo(formulas_text(found), nl=False)
    if out is not None:
        out.write_text(formulas_svg(found), encoding="utf-8")
        typer.echo(f"drawn in {out}", err=True)


@app.command()
def compare(
    data: Annotated[
        str, typer.Option(metavar="PATH", help="Dataset folder, or the name of a shipped one.")
    ],
    prop: Annotated[
        list[str], typer.Option("--property", metavar="P", help="Property; repeatable.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Gets table.{csv,json,md} and parity plots.")
    ],
    kind: Annotated[
        list[str] | None, typer.Option(metavar="K", help="Kind; repeatable; all by default.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Outer folds.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only the folds of the fit itself: FOLDS times quicker.")
    ] = False,
    iterations: Annotated[int, typer.Option(min=1, help="Trees per fold.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    fmt: FormatOption = Format.table,
) -> None:
    """Cross-validate kinds of surrogates; finished ones are not computed again."""
    from training.surrogate_cells import Settings
    from training.surrogate_compare import compare as run

    settings = Settings(folds=folds, quick=quick, iterations=iterations, seed=seed, threads=threads)

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    with stoppable(lambda: f"finished kinds are kept in {out}; run the same command to go on"):
        rows = run(data, prop, out, kinds=kind or (), settings=settings, tell=tell)
    if fmt is Format.json:
        print_json(rows)
        return
    typer.echo((out / "table.md").read_text(), nl=False)


@app.command()
def tune(
    data: Annotated[
        str, typer.Option(metavar="PATH", help="Dataset folder, or the name of a shipped one.")
    ],
    prop: Annotated[str, typer.Option("--property", metavar="P", help="Property.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Gets the study, its figures and the best models.")
    ],
    kind: Annotated[
        list[str] | None, typer.Option(metavar="K", help="Kind; repeatable; trees by default.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Per kind, with those there already.")] = 20,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 5,
    iterations: Annotated[int, typer.Option(min=1, help="Trees per fold.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; as many as CPUs by default.")
    ] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="Logical CPUs of a Ray started here.")
    ] = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Search hyperparameters on the Ray cluster; run it again to go on."""
    from serve.cluster import available_cores, ensure_ray
    from training.surrogate_cells import Settings
    from training.surrogate_tune import tune as run

    settings = Settings(folds=folds, iterations=iterations, seed=seed)

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    with stoppable(lambda: f"finished trials are kept in {out}; run the same command to go on"):
        ensure_ray(cpus or available_cores())
        found = run(
            data,
            prop,
            out,
            kinds=kind or ("trees",),
            trials=trials,
            settings=settings,
            in_flight=parallel,
            tell=tell,
        )
    if fmt is Format.json:
        print_json([json.loads((out / f"{t.kind}.json").read_text()) for t in found])
        return
    for t in found:
        typer.echo(
            f"{t.kind}: MAE {1e3 * t.value:.2f} meV (defaults {1e3 * t.default:.2f}) after "
            f"{t.trials} trials with {t.params or 'the defaults'}; surrogate in {t.model}"
        )
