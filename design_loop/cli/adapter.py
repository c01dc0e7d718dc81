"""``design-loop adapter``: LoRA adapters from datasets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.output import (
    WORKDIR,
    Format,
    FormatOption,
    bar,
    print_json,
    print_tables,
    quiet_libraries,
    stoppable,
)

app = typer.Typer(help="LoRA adapters of a base model.", no_args_is_help=True)


class TextFormat(StrEnum):
    """Formats of the instructions."""

    compact = "compact"
    full = "full"


AdapterArgument = Annotated[
    str, typer.Argument(metavar="NAME_OR_DIR", help="Adapter's folder, or its name below the root.")
]
RootOption = Annotated[Path, typer.Option(metavar="DIR", help="Where names are looked up.")]


@app.command()
def train(
    data: Annotated[
        str, typer.Option(metavar="PATH", help="Dataset folder, or the name of a shipped one.")
    ],
    base: Annotated[
        str, typer.Option(metavar="DIR", help="Base model: folder, 'small' or Hugging Face name.")
    ],
    prop: Annotated[
        list[str],
        typer.Option("--property", metavar="P", help="Property to be asked for; repeatable."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to leave the adapter in.")],
    fmt: Annotated[
        TextFormat,
        typer.Option("--format", help="Answers name the changed sites only, or all sites."),
    ] = TextFormat.compact,
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the dataset.")] = 10.0,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train at most so long.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Train at most so many steps.")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=0, help="Peak rate.", show_default="0.0001; 0.002 with --base small"),
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the update.")] = 8,
    alpha: Annotated[float, typer.Option(min=0, help="Scale of the update times rank.")] = 32,
    dropout: Annotated[float, typer.Option(min=0, max=0.99, help="In front of the update.")] = 0.05,
    batch_size: Annotated[int, typer.Option(min=1, help="Instructions per step.")] = 32,
    workers: Annotated[int, typer.Option(min=1, help="Ray Train workers.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs per worker.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
) -> None:
    """Fine-tune with Ray Train; prints the finished adapter's folder. Goes on after a stop."""
    from design_loop.adapters import PUBLISHED_RATE, SMALL_RATE, dataset_spec
    from serve.cluster import ensure_ray
    from training.bundled import SMALL
    from training.lora import train_adapter
    from training.spec import LoraHyperparameters, Resources

    quiet_libraries()
    spec = dataset_spec(
        data,
        base,
        prop,
        fmt.value,
        out,
        LoraHyperparameters(
            rank=rank,
            alpha=alpha,
            dropout=dropout,
            learning_rate=learning_rate or (SMALL_RATE if base == SMALL else PUBLISHED_RATE),
            epochs=epochs,
            max_seconds=None if max_minutes is None else 60 * max_minutes,
            max_steps=max_steps,
            batch_size=batch_size,
        ),
        seed=seed,
    )
    kept = "the same command goes on from the last checkpoint"
    with stoppable(lambda: kept), bar("steps") as advance:
        ensure_ray()
        result = train_adapter(
            spec,
            Resources(workers=workers, gpus=gpus),
            on_progress=lambda told: advance(int(told["step"]), int(told["steps"])),
        )
    told = ", ".join(
        f"{k} {v:.4g}" for k, v in result.metrics.items() if isinstance(v, (int, float))
    )
    typer.echo(f"{result.path}: {told}")


@app.command("list")
def list_(
    root: Annotated[
        Path, typer.Argument(metavar="[ROOT]", help="Folder to look through, at any depth.")
    ] = WORKDIR,
    fmt: FormatOption = Format.table,
) -> None:
    """List finished adapters, and mark those that are refused; exit code 1 if there are any."""
    from training.registry import list_adapters

    entries = list_adapters(root)
    if fmt is Format.json:
        print_json([entry.summary() for entry in entries])
    elif entries:
        from design_loop.adapter_tables import adapters_table

        print_tables(adapters_table([entry.summary() for entry in entries]))
        for entry in entries:
            if not entry.sound:
                typer.echo(f"refused: {entry.problem}")
    else:
        typer.echo(f"no adapters below {root}")
    if not all(entry.sound for entry in entries):
        raise typer.Exit(1)


@app.command()
def show(
    adapter: AdapterArgument, root: RootOption = WORKDIR, fmt: FormatOption = Format.table
) -> None:
    """Show where an adapter comes from, how it was trained, and its figures."""
    from training.registry import lineage, locate_adapter, verify_adapter

    found = verify_adapter(locate_adapter(adapter, root))
    chain = lineage(found, found.path.resolve().parent)
    if fmt is Format.json:
        print_json({"path": str(found.path), "manifest": found.manifest, "lineage": chain})
        return
    from design_loop.adapter_tables import adapter_table

    print_tables(adapter_table(found.manifest, chain))


@app.command()
def verify(
    adapter: AdapterArgument, root: RootOption = WORKDIR, fmt: FormatOption = Format.table
) -> None:
    """Check every file against the manifest; exit code 1 for an unfinished or altered adapter."""
    from training.registry import locate_adapter, verify_adapter

    found = verify_adapter(locate_adapter(adapter, root))
    if fmt is Format.json:
        print_json({"name": found.name, "path": str(found.path), "sound": True})
    else:
        typer.echo(f"{found.name}: finished, all {len(found.manifest['files'])} files as trained")


@app.command()
def plan(
    preset: Annotated[
        str, typer.Argument(metavar="PRESET", help="Shipped campaign's name, or a campaign file.")
    ],
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs, one per worker.", show_default="the file's")
    ] = None,
    gpu_memory: Annotated[str, typer.Option(metavar="SIZE", help="Of each GPU.")] = "80GB",
    fmt: FormatOption = Format.table,
) -> None:
    """Count parameters, memory per GPU and tokens per step; exit code 1 if it does not fit."""
    from design_loop.adapter_plan import parse_memory, plan_adapter
    from design_loop.config import parse_campaign
    from design_loop.config.loading import load_preset

    quiet_libraries()
    size = parse_memory(gpu_memory)
    path = Path(preset)
    # The shape alone is looked at: the dataset need not be here.
    config = (
        parse_campaign(path.read_text(encoding="utf-8"), path.name)
        if path.is_file()
        else load_preset(preset, check=False)
    )
    found = plan_adapter(config, gpus, size)
    if fmt is Format.json:
        print_json(found.summary())
    else:
        from design_loop.adapter_tables import plan_tables

        print_tables(*plan_tables(found.summary()))
        typer.echo("fits" if found.fits else f"does not fit: {found.problem}")
        if found.advice:
            typer.echo(f"this does: {found.advice}")
    if not found.fits:
        raise typer.Exit(1)
