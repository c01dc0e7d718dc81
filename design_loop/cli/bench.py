"""``design-loop bench``: proposers side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.output import Format, FormatOption, print_tables, stoppable

app = typer.Typer(help="Measure proposers against each other.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``compare`` a command of its own while it is the only one."""


@app.command()
def compare(
    file: Annotated[
        str, typer.Argument(metavar="FILE.yaml", help="Campaign file: the task and the budget.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of ledger, campaigns and figures.", show_default=False)
    ],
    proposer: Annotated[
        list[str],
        typer.Option(
            help="An arm, may be repeated: llm, llm-frozen (without feedback), hybrid, random, "
            "random-wide (20 screened by the surrogate per proposal), genetic, genetic-wide (40), "
            "tpe, gibbs, nearest.",
            show_default=False,
        ),
    ],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Campaigns per arm.")] = 3,
    oracle_hours: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Hours that a call of your oracle would take, divided by how many run at a time: "
            "hits at equal wall time are told for that, too. 0 leaves it out.",
        ),
    ] = 1.0,
    fmt: FormatOption = Format.table,
) -> None:
    """Run proposers on one task with equal budgets; the same command again goes on.

    Prints what each found and spent, hits at equal wall time, and differences paired by seed, with
    95 % intervals over the seeds. Writes the same and curves to compare.html and compare.json, and
    compare.csv (a row per oracle call), arms.csv, times.csv and pairs.csv. Finished campaigns are
    kept when the code has changed since; where they are mixed, one line says which are older.
    """
    from design_loop.cli.campaign import read_campaign
    from design_loop.compare.code import code_note
    from design_loop.compare.run import compare as run_comparison
    from design_loop.compare.tables import LEGEND, terminal_tables
    from design_loop.progress.lasting import lasting_output

    config = read_campaign(file)

    with lasting_output(), stoppable(lambda: "nothing is lost; the same command goes on"):
        outcomes = run_comparison(config, proposer, seeds, out, call_hours=oracle_hours)
    if fmt is Format.json:
        typer.echo((out / "compare.json").read_text(encoding="utf-8"), nl=False)
        return
    typer.echo(f"{config.name}: {'; '.join(t.text() for t in config.targets)}\n{LEGEND}\n")
    note = code_note(outcomes)
    if note:
        typer.echo(f"{note}\n")
    from rich.console import Console

    for table in terminal_tables(outcomes, config, oracle_hours, Console().width):
        print_tables(table)
        typer.echo("")
    typer.echo(f"Curves: {out / 'compare.html'}")


@app.command(name="one", hidden=True)
def one(out: Path, arm: str, seed: int) -> None:
    """Drive a single campaign of a comparison; ``compare`` starts it."""
    from design_loop.compare.run import drive_here
    from design_loop.progress import campaign_progress
    from design_loop.progress.lasting import lasting_output

    # Its code tells `compare` whether the campaign ended, not whether anybody looked on.
    with lasting_output(), stoppable(lambda: "nothing is lost"):
        typer.echo(f"{arm}, seed {seed}", err=True)
        drive_here(out, arm, seed, progress=campaign_progress())
