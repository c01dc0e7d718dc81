"""``design-loop generate``: candidates from a base model and an adapter, outside of campaigns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.adapter import TextFormat
from design_loop.cli.output import UsageError, bar, stoppable


def generate(
    base: Annotated[
        str, typer.Option(metavar="DIR", help="Base model: folder, 'small' or Hugging Face name.")
    ],
    host: Annotated[str, typer.Option(help="Built-in host, or a CIF file of its unit cell.")],
    num: Annotated[int, typer.Option(min=1, metavar="N", help="Samples.")],
    out: Annotated[Path, typer.Option(metavar="FILE.jsonl", help="Written: a sample per line.")],
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="P=VALUE", help="Property asked for: =1.10, =0.9..1.2, <=2; again."),
    ] = None,
    targets_from: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Instead: values to ask for, a column per property, row by row.",
        ),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Finished adapter folder.")
    ] = None,
    supercell: Annotated[str, typer.Option(help="Repetitions of the unit cell.")] = "4x4",
    defect: Annotated[
        list[str] | None,
        typer.Option(metavar="V_S", help="Allowed defect; again. By default the adapter's."),
    ] = None,
    min_defects: Annotated[
        int | None, typer.Option(min=1, help="Fewest changed sites. By default the adapter's.")
    ] = None,
    max_defects: Annotated[
        int | None, typer.Option(min=1, help="Most changed sites. By default the adapter's.")
    ] = None,
    fmt: Annotated[
        TextFormat | None,
        typer.Option("--format", help="Instruction format. By default the adapter's."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Randomness of the sampling.")] = 1.0,
    top_p: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1, help="Mass sampled from.", show_default="0.9; 1 in the full format"
        ),
    ] = None,
    constrained: Annotated[
        bool, typer.Option(help="Decode under a grammar of the rules: every answer is valid.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
) -> None:
    """Sample candidates and write every sample, the failures with their reason."""
    from defects.hosts import get_host, parse_supercell
    from defects.targets import parse_target
    from design_loop.adapters import finished_adapter
    from design_loop.generation import generate_to_file, read_asked

    if min_defects is not None and max_defects is not None and min_defects > max_defects:
        raise UsageError(f"--min-defects {min_defects} is above --max-defects {max_defects}")
    if bool(target) == bool(targets_from):
        raise UsageError("what is asked for comes from --target, or from --targets-from: give one")
    targets = [parse_target(text) for text in target or []]
    table = None if targets_from is None else read_asked(targets_from)
    crystal = get_host(host, parse_supercell(supercell))
    folder = None if adapter is None else finished_adapter(adapter)
    _check_properties([t.property for t in targets] + list(table[0] if table else ()), folder)
    with stoppable(lambda: f"{out} was not written"), bar("samples") as advance:
        counts = generate_to_file(
            base=base,
            adapter=folder,
            host=crystal,
            targets=targets,
            table=table,
            num=num,
            out=out,
            defects=defect,
            min_defects=min_defects,
            max_defects=max_defects,
            fmt=None if fmt is None else fmt.value,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            constrained=constrained,
            host_file=Path(host) if host.lower().endswith(".cif") else None,
            progress=advance,
        )
    told = ", ".join(f"{n} {reason}" for reason, n in counts.items())
    typer.echo(f"{num} samples in {out}: {told}")


def _check_properties(names: list[str], adapter: Path | None) -> None:
    """Refuse a property that the model was never told about: it would be ignored in silence."""
    from defects.properties import PROPERTIES
    from design_loop.config.problems import did_you_mean
    from training.manifest import read_adapter

    known = list(PROPERTIES)
    if adapter is not None:
        known = read_adapter(adapter).manifest.get("properties") or known
    for name in names:
        if name not in known:
            who = "no property" if adapter is None else f"nothing that {adapter} was trained for"
            raise UsageError(f"--target {name}: {who}{did_you_mean(name, known)}")
