"""``design-loop adapter``: LoRA adapters from datasets."""

from __future__ import annotations

import os
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


class Schedule(StrEnum):
    """Courses of the learning rate."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"


class Quantization(StrEnum):
    """Of the frozen base."""

    none = "none"
    four_bits = "4bit"


class Sharding(StrEnum):
    """What of the base a worker holds."""

    ddp = "ddp"
    fsdp = "fsdp"


AdapterArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME_OR_DIR",
        help="Adapter's folder, or the one it is in, or its name below the root.",
    ),
]
RootOption = Annotated[Path, typer.Option(metavar="DIR", help="Where names are looked up.")]


@app.command()
def train(
    data: Annotated[
        str, typer.Option(metavar="PATH", help="Dataset folder, or the name of a shipped one.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to leave the adapter in.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Base model: folder, 'small' or Hugging Face name.",
            show_default="the preset's",
        ),
    ] = None,
    prop: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="P",
            help="Property to be asked for; repeatable.",
            show_default="the preset's targets",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Shipped campaign, or a campaign file: its base, format, adapter and resources, "
            "where no option says otherwise.",
        ),
    ] = None,
    fmt: Annotated[
        TextFormat | None,
        typer.Option(
            "--format",
            help="Answers name the changed sites only, or all sites.",
            show_default="compact",
        ),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the dataset.", show_default="10")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Train at most so long.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Train at most so many steps.")] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak rate.", show_default="0.0001; 0.002 with --base small"),
    ] = None,
    schedule: Annotated[
        Schedule | None, typer.Option(help="Course of the rate.", show_default="cosine")
    ] = None,
    warmup: Annotated[
        float | None, typer.Option(help="Share of steps with a rising rate.", show_default="0.03")
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the update.", show_default="8")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Scale of the update times rank.", show_default="32")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="In front of the update.", show_default="0.05")
    ] = None,
    target_module: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Layers that get an update, such as q_proj; repeatable.",
            show_default="all-linear: every one but the output",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Instructions per step.", show_default="32")
    ] = None,
    micro_tokens: Annotated[
        int | None,
        typer.Option(
            help="Most tokens of a worker's forward pass; gradients of more are accumulated.",
            show_default="8192",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            help="Longer instructions, answers included, are left out, tokens.",
            show_default="what the model can read",
        ),
    ] = None,
    length_pool: Annotated[
        int | None,
        typer.Option(
            help="Batches among which instructions are sorted by length; 1 for none.",
            show_default="16",
        ),
    ] = None,
    bf16: Annotated[
        bool | None,
        typer.Option(
            "--bf16/--no-bf16",
            help="bfloat16 arithmetic.",
            show_default="where the processor has it",
        ),
    ] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            help="Compute activations twice: less memory, a third more time.",
            show_default="no",
        ),
    ] = None,
    quantization: Annotated[
        Quantization | None,
        typer.Option(
            help="Of the frozen base; 4bit (QLoRA) on CUDA GPUs only.", show_default="none"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Ray Train workers.", show_default="1")
    ] = None,
    cpus: Annotated[float | None, typer.Option(help="CPUs per worker.", show_default="1")] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs per worker.", show_default="0")] = None,
    sharding: Annotated[
        Sharding | None,
        typer.Option(
            help="Each worker holds all of the base (ddp), or a part of it (fsdp).",
            show_default="ddp",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Checkpoints: a folder shared by all machines, or s3://, gs://, file://.",
            show_default="below --out",
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(help="Time between checkpoints, s.", show_default="60")
    ] = None,
    max_failures: Annotated[
        int | None,
        typer.Option(help="Restarts from a checkpoint after a worker died.", show_default="3"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of everything random.", show_default="0")
    ] = None,
) -> None:
    """Fine-tune with Ray Train; prints the finished adapter's folder. Goes on after a stop."""
    from design_loop.adapter_settings import adapter_settings
    from design_loop.adapters import dataset_spec
    from serve.cluster import ensure_ray
    from training.lora import train_adapter

    quiet_libraries()
    settings = adapter_settings(
        preset,
        base=base,
        properties=tuple(prop or ()),
        format=_plain(fmt),
        seed=seed,
        adapter={
            "epochs": epochs,
            "max_seconds": None if max_minutes is None else 60 * max_minutes,
            "max_steps": max_steps,
            "learning_rate": learning_rate,
            "schedule": _plain(schedule),
            "warmup": warmup,
            "rank": rank,
            "alpha": alpha,
            "dropout": dropout,
            "target_modules": _modules(target_module),
            "batch_size": batch_size,
            "micro_tokens": micro_tokens,
            "max_length": max_length,
            "length_pool": length_pool,
            "bf16": bf16,
            "gradient_checkpointing": gradient_checkpointing,
            "quantization": _plain(quantization),
        },
        resources={
            "train_workers": workers,
            "train_cpus": cpus,
            "train_gpus": gpus,
            "train_sharding": _plain(sharding),
            "train_storage": storage,
            "train_checkpoint_seconds": checkpoint_seconds,
            "train_max_failures": max_failures,
        },
    )
    spec = dataset_spec(
        data,
        settings.base,
        settings.properties,
        settings.format,
        out,
        settings.hyperparameters,
        seed=settings.seed,
    )
    if settings.ray_address:
        os.environ.setdefault("RAY_ADDRESS", settings.ray_address)
    kept = "the same command goes on from the last checkpoint"
    with stoppable(lambda: kept), bar("steps") as advance:
        ensure_ray()
        result = train_adapter(
            spec,
            settings.resources,
            on_progress=lambda told: advance(int(told["step"]), int(told["steps"])),
        )
    told = ", ".join(
        f"{k} {v:.4g}" for k, v in result.metrics.items() if isinstance(v, (int, float))
    )
    typer.echo(f"{result.path}: {told}")


def _plain(choice: StrEnum | None) -> str | None:
    return None if choice is None else choice.value


def _modules(names: list[str] | None) -> list[str] | str | None:
    return "all-linear" if names == ["all-linear"] else names or None


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
    from design_loop.adapter_settings import read_preset

    quiet_libraries()
    size = parse_memory(gpu_memory)
    # The shape alone is looked at: the dataset need not be here.
    found = plan_adapter(read_preset(preset), gpus, size)
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
